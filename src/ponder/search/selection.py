"""From step scores to one score, and from candidates to one answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Literal, NamedTuple

from ponder.errors import UsageError

Aggregation = Literal["last", "min", "product", "mean"]
"""How the scores of a solution's steps become the solution's score."""

TIE = 1e-9
"""Sums of scores that differ by no more are equal: 0.1 + 0.2 ties with 0.3."""


class Ballot(NamedTuple):
    """What a selector sees of one candidate."""

    key: str | None
    """The answer's group; None: no answer, or a solution that may not vote."""
    score: float | None
    """Higher is better; None: not scored."""


Selector = Callable[[Sequence[Ballot]], int | None]
"""Chooses a ballot by index; None when no ballot can be chosen."""

_AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda scores: scores[-1],
    "min": min,
    "product": math.prod,
    "mean": fmean,
}


def aggregate(scores: Sequence[float], how: Aggregation) -> float:
    """One score from the scores of a solution's steps.

    Raises UsageError for an unknown aggregation, ValueError when there is no score.
    """
    if how not in _AGGREGATIONS:
        known = ", ".join(_AGGREGATIONS)
        raise UsageError(f"`aggregation` must be one of {known}, got {how!r}")
    if not scores:
        raise ValueError("no step scores to aggregate")
    return _AGGREGATIONS[how](scores)


def majority(ballots: Sequence[Ballot]) -> int | None:
    """The first member of the largest group of answers; ties go to the group seen first.

    Scores do not matter. A ballot without an answer is not a vote.
    """
    groups = _groups(ballots)
    return max(groups, key=len)[0] if groups else None


def best_of_n(ballots: Sequence[Ballot]) -> int | None:
    """The ballot of the highest score; ties go to the lowest index.

    Solutions are ranked, not answers: one without an answer may be chosen, and then the choice has
    none. An unscored ballot is never chosen.
    """
    scores = _scores(ballots)
    best = max(scores, default=-math.inf)
    return None if best == -math.inf else scores.index(best)


def weighted(ballots: Sequence[Ballot]) -> int | None:
    """The best-scored member of the group with the largest sum of scores.

    A ballot counts if it has both an answer and a score. Groups whose sums differ by at most `TIE`
    are tied, and the one seen first wins; within the group the lowest index wins a tie.
    """
    scores = _scores(ballots)
    groups = _groups([vote if vote.score is not None else Ballot(None, None) for vote in ballots])
    if not groups:
        return None
    sums = [math.fsum(scores[index] for index in group) for group in groups]
    least = max(sums) - TIE
    winner = next(group for group, total in zip(groups, sums, strict=True) if total >= least)
    return max(winner, key=scores.__getitem__)


SELECTORS: Mapping[str, Selector] = MappingProxyType(
    {"majority": majority, "best_of_n": best_of_n, "weighted": weighted}
)
"""By the name used in recipes and reports. The oracle sees the reference: it lives in `evals`."""


def _scores(ballots: Sequence[Ballot]) -> list[float]:
    """The scores, minus infinity where there is none."""
    return [-math.inf if ballot.score is None else ballot.score for ballot in ballots]


def _groups(ballots: Sequence[Ballot]) -> list[list[int]]:
    """Indices of the ballots with an answer, grouped by key; groups in the order they are seen."""
    groups: dict[str, list[int]] = {}
    for index, ballot in enumerate(ballots):
        if ballot.key is not None:
            groups.setdefault(ballot.key, []).append(index)
    return list(groups.values())
