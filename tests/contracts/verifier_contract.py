"""What every verifier promises, checked of any one: `CONTRACT` holds the checks."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.base import Verifier

Check = Callable[[Verifier], Awaitable[None]]

PROBLEM: Final = Problem.ask("Kim buys 6 packs of 7 cards and gives 2 away. How many are left?")
TEXTS: Final = (
    ("First, Kim buys 6 * 7 = 42 cards.\n\n", "Then, Kim has 42 - 2 = 40 cards left.\n\n"),
    ("First, Kim buys 6 * 7 = 43 cards.\n\n",),
    ("No sum at all.\n\n", "The answer is 40."),
)


def grown(*texts: str, logprob: float | None = -0.5) -> Prefix:
    """A path of steps with one token a word, and log-probabilities unless None."""
    prefix = Prefix.root(PROBLEM)
    for text in texts:
        logprobs = None if logprob is None else (logprob,) * len(text.split())
        prefix = prefix.grow(Step(text, logprobs=logprobs))
    return prefix


async def scores_of(verifier: Verifier, *prefixes: Prefix) -> list[StepScores]:
    """The answers, checked: one an item, of the stated number and range."""
    answers = await verifier.score(PROBLEM, prefixes)
    assert isinstance(answers, list)
    assert len(answers) == len(prefixes)
    kept: list[StepScores] = []
    for prefix, answer in zip(prefixes, answers, strict=True):
        assert isinstance(answer, StepScores), answer
        wanted = prefix.depth if verifier.info.scores == "steps" else 1
        assert len(answer.scores) == wanted
        assert all(math.isfinite(score) for score in answer.scores)
        assert all(verifier.info.low <= score <= verifier.info.high for score in answer.scores)
        assert not answer.tokens or len(answer.tokens) == prefix.depth + 1
        assert all(count >= 0 for count in answer.tokens or ())
        kept.append(answer)
    return kept


async def states_what_it_is(verifier: Verifier) -> None:
    info = verifier.info
    assert info.name
    assert info.identity
    assert info.low < info.high
    assert info.scores in ("steps", "solution")
    assert info.estimates in ("correctness", "value")
    assert verifier.info == info


async def answers_in_order(verifier: Verifier) -> None:
    prefixes = [grown(*texts) for texts in TEXTS]
    together = await scores_of(verifier, *prefixes)
    backwards = await scores_of(verifier, *reversed(prefixes))
    alone = [(await scores_of(verifier, prefix))[0] for prefix in prefixes]
    assert together == backwards[::-1] == alone


async def answers_nothing_with_nothing(verifier: Verifier) -> None:
    assert await verifier.score(PROBLEM, []) == []


async def scores_duplicates_alike(verifier: Verifier) -> None:
    asked = [grown(*TEXTS[0]), grown(*TEXTS[1]), grown(*TEXTS[0])]
    first, _, again = await scores_of(verifier, *asked)
    assert first == again


async def scores_a_prefix_without_steps(verifier: Verifier) -> None:
    await scores_of(verifier, Prefix.root(PROBLEM), grown(*TEXTS[0]))


async def scores_empty_steps(verifier: Verifier) -> None:
    await scores_of(verifier, grown("\n\n"), grown("6 * 7 = 42\n\n", "", "  \n"))


async def reads_any_text(verifier: Verifier) -> None:
    odd = (
        "\u0665 + \u00bd \u2260 \U0001f9ee \ud800",
        "=" * 50,
        "((((" * 50,
        "9^9^9^9 = 0/0",
        "\x00 % = {}",
    )
    await scores_of(verifier, grown(*odd), *(grown(text) for text in odd))


async def a_failure_leaves_the_others(verifier: Verifier) -> None:
    """Steps without log-probabilities may fail; what stands beside them may not."""
    bare, whole = grown(*TEXTS[0], logprob=None), grown(*TEXTS[0])
    first, second = await verifier.score(PROBLEM, [bare, whole])
    assert isinstance(first, StepScores) or (isinstance(first, ScoreFailure) and first.reason)
    assert isinstance(second, StepScores)


async def closes_twice(verifier: Verifier) -> None:
    await verifier.aclose()
    await verifier.aclose()


CONTRACT: Final[tuple[Check, ...]] = (
    states_what_it_is,
    answers_in_order,
    answers_nothing_with_nothing,
    scores_duplicates_alike,
    scores_a_prefix_without_steps,
    scores_empty_steps,
    reads_any_text,
    a_failure_leaves_the_others,
    closes_twice,
)
