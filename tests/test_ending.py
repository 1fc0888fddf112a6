"""From samples to the trace: why an answer was chosen, and what is billed."""

from __future__ import annotations

import pytest

from ponder.session import Finish
from ponder.session.ending import chosen_of, spent_of, why
from ponder.types import Answer, Candidate
from ponder.verifiers.base import VerifierInfo

JUDGE = VerifierInfo("judge", "judge", "steps", 0, 1, "value")


def candidate(index: int, key: str | None, score: float, *, votes: bool = True) -> Candidate:
    answer = None if key is None else Answer(f"raw {key}", key)
    return Candidate((index,), "text", {"judge": (score,)}, 3, "eos", answer, votes)


CANDIDATES = (
    candidate(0, "1", 0.2),
    candidate(1, "2", 0.9),
    candidate(2, "1", 0.4),
    candidate(3, None, 0.9),
    candidate(4, "1", 0.9, votes=False),
)


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("majority", "majority: 2 of 3 votes say so"),
        ("best_of_n", "best_of_n: 1 of 3 votes say so, ranked by the last score"),
        ("weighted", "weighted: 1 of 3 votes say so, ranked by the last score"),
    ],
)
def test_the_choice_says_how_many_agree_and_what_ranked_them(selector: str, reason: str) -> None:
    finish = Finish("test", 5, [], selector)
    chosen = chosen_of(CANDIDATES, finish, [JUDGE])
    assert chosen is not None
    assert why(CANDIDATES, chosen, finish) == reason


def test_without_a_verifier_no_score_is_looked_for() -> None:
    finish = Finish("test", 5, [], "best_of_n")
    assert chosen_of(CANDIDATES, finish, []) is None


def test_an_empty_search_costs_nothing() -> None:
    spent = spent_of([], [], [], 100, 2.0)
    assert (spent.generated, spent.prompt, spent.wasted, spent.calls) == (0, 0, 0, 0)
    assert (spent.flops, spent.seconds) == (0.0, 2.0)
