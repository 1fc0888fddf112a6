"""Stopping rules: the exact ones change no answer, the statistical ones are their papers'."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.search.selection import SELECTORS, Ballot
from ponder.search.stopping import (
    EXACT,
    Poll,
    adaptive_consistency,
    best_of_n_settled,
    majority_settled,
    rule_of,
    unanimous_window,
    weighted_settled,
)

SCORES = (0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1.0)
BALLOTS = st.builds(
    Ballot, st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, *SCORES])
)


def votes(keys: str) -> list[Ballot]:
    """One ballot a letter; "-" is no answer."""
    return [Ballot(None if key == "-" else key, 0.5) for key in keys]


def answer(ballots: Sequence[Ballot], selector: str) -> object:
    """The key that the selector answers with; a best-scored ballot by its index."""
    chosen = SELECTORS[selector](ballots)
    if chosen is None:
        return None
    return chosen if selector == "best_of_n" else ballots[chosen].key


def stop_at(ballots: Sequence[Ballot], selector: str) -> int:
    """How many ballots the exact rule looks at, when they come last first."""
    poll = Poll(EXACT[selector], len(ballots))
    for index in reversed(range(len(ballots))):
        poll.put(index, ballots[index])
    return len(poll.ballots)


@pytest.mark.parametrize("selector", sorted(EXACT))
@given(ballots=st.lists(BALLOTS, max_size=12))
def test_exact_rules_change_no_answer(selector: str, ballots: list[Ballot]) -> None:
    stop = stop_at(ballots, selector)
    assert answer(ballots[:stop], selector) == answer(ballots, selector)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_majority_is_settled_exactly_when_no_votes_can_change_it(length: int) -> None:
    """Brute force over every way to go on: optimal, and never wrong."""
    for seen in itertools.product("ab-", repeat=length):
        for left in range(1, 7 - length):
            now = answer(votes("".join(seen)), "majority")
            endings = ("".join((*seen, *rest)) for rest in itertools.product("abc-", repeat=left))
            safe = all(answer(votes(ending), "majority") == now for ending in endings)
            assert majority_settled(votes("".join(seen)), left) is safe, (seen, left)


def test_a_tie_goes_to_the_answer_seen_first() -> None:
    assert not majority_settled(votes("abb"), 1)  # a, b, b, a: a wins
    assert majority_settled(votes("aab"), 1)  # a, a, b, b: a wins
    assert majority_settled(votes("a"), 1)
    assert not majority_settled(votes("-"), 1)


def test_weighted_needs_a_lead_that_the_rest_cannot_reach() -> None:
    scored = [Ballot("a", 1.0), Ballot("a", 1.0), Ballot("b", 0.5)]
    assert weighted_settled(scored, 1)
    assert not weighted_settled([Ballot("a", 1.0)], 1)  # a tie would be the first's, but for TIE
    assert not weighted_settled([], 1)
    assert not weighted_settled([Ballot("a", None)], 1)


def test_best_of_n_stops_at_the_highest_score_there_is() -> None:
    assert best_of_n_settled([Ballot(None, 0.2), Ballot("a", 1.0)], 5)
    assert not best_of_n_settled([Ballot("a", 0.999), Ballot("b", None)], 1)


@pytest.mark.parametrize(
    ("first", "second"), [(4, 0), (6, 1), (8, 2), (9, 3)], ids=lambda count: str(count)
)
def test_adaptive_consistency_stops_at_the_paper_s_leads(first: int, second: int) -> None:
    ballots = votes("a" * first + "b" * second)
    assert adaptive_consistency(ballots, 1)
    assert not adaptive_consistency(ballots[1:], 1)
    assert not adaptive_consistency([], 1)


def test_a_window_is_five_samples_that_agree() -> None:
    assert unanimous_window(votes("abaabccccc"), 1)
    assert unanimous_window(votes("abaabababaccccc"), 1)
    assert not unanimous_window(votes("abccccc"), 1)  # its windows are abccc and cc
    assert not unanimous_window(votes("-----"), 1)
    assert not unanimous_window([], 1)


def test_no_rule_draws_all() -> None:
    assert rule_of("none", "majority") is None
    assert rule_of("exact", "weighted") is weighted_settled
    assert rule_of("adaptive_consistency", "majority") is adaptive_consistency
    assert rule_of("early_stopping_self_consistency", "majority") is unanimous_window


@pytest.mark.parametrize("selector", sorted(EXACT))
def test_exact_rules_change_no_answer_of_10000_pools_with_ties(selector: str) -> None:
    """Of up to 64 ballots, with few answers and few scores."""
    rng = random.Random(11)
    saved = 0
    for _ in range(10_000):
        skew = rng.choice([(1, 1, 1, 1), (1, 6, 1, 1), (1, 9, 0, 0)])
        count = rng.randint(1, 64)
        keys = rng.choices([None, "a", "b", "c"], skew, k=count)
        scores = rng.choices([None, *SCORES], [1, 2, 1, 1, 1, 1, 1, 1, 3], k=count)
        ballots = [Ballot(key, score) for key, score in zip(keys, scores, strict=True)]
        stop = stop_at(ballots, selector)
        saved += count - stop
        assert answer(ballots[:stop], selector) == answer(ballots, selector)
    assert saved > 10_000


def test_a_poll_is_settled_before_its_last_sample_or_not_at_all() -> None:
    sure = Ballot("a", 1.0)
    polls = [Poll(best_of_n_settled, n) for n in (1, 2)]
    for poll in polls:
        poll.put(0, sure)
    assert [poll.settled for poll in polls] == [False, True]
