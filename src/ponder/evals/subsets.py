"""Means over subsets where there is no closed form: subsets are looked at one by one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from ponder.evals.graded import Estimate, GradedCandidate, GradedProblem
from ponder.search.selection import TIE

ENUMERATED = 200_000
"""Up to so many subsets are all looked at; beyond it, random ones."""

DRAWS = 4_000
"""Random subsets a problem: a standard error of at most 0.008, far less over many problems."""

_CHUNK = 20_000
"""Subsets looked at together: bounds the memory."""

Members = NDArray[np.float64]
"""One row a candidate, one column a subset: 1 for a member, else 0."""

Values = NDArray[np.float64]
"""One value a subset."""


Payoff = Callable[[Members], Values]
"""The chance that each subset's choice is right; the rows are what subsets are taken of."""


def weighted_expectation(problem: GradedProblem, size: int, seed: int) -> Estimate:
    """Expected accuracy of weighted voting over subsets of `size` candidates.

    Monte Carlo draws depend on the seed, the problem's id and the size only.
    """
    payoff = partial(payoffs, problem.candidates)
    return subset_mean(payoff, len(problem.candidates), size, repr((seed, problem.id, size)))


def subset_mean(payoff: Payoff, count: int, size: int, name: str) -> Estimate:
    """The payoff's mean over subsets of `size` of `count` things.

    Exact while there are at most `ENUMERATED` subsets; else the mean over `DRAWS` random ones,
    which depend on the `name` only.
    """
    if math.comb(count, size) <= ENUMERATED:
        subsets = _subsets(count, size)
        chunks = [subsets[start : start + _CHUNK] for start in range(0, len(subsets), _CHUNK)]
        found = [payoff(_members(chunk, count)) for chunk in chunks]
        return Estimate(float(np.concatenate(found).mean()))
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    drawn = generator.random((DRAWS, count)).argpartition(size - 1, axis=1)[:, :size]
    values = payoff(_members(drawn, count))
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(DRAWS))


@lru_cache(maxsize=8)
def _subsets(count: int, size: int) -> NDArray[np.intp]:
    """Every subset once, one a row; kept, since the problems of a pool have equal counts."""
    total = math.comb(count, size)
    flat = chain.from_iterable(combinations(range(count), size))
    return np.fromiter(flat, dtype=np.intp, count=total * size).reshape(total, size)


def _members(subsets: NDArray[np.intp], count: int) -> Members:
    members = np.zeros((count, len(subsets)))
    np.put_along_axis(members, subsets.T, 1.0, axis=0)
    return members


def payoffs(candidates: Sequence[GradedCandidate], members: Members) -> Values:
    """The chance that weighted voting is right, for each subset.

    Groups within `TIE` of the largest sum are tied and share evenly. The winner is represented by
    its best-scored member; tied members share evenly too.
    """
    groups = _scored_groups(candidates)
    scores = np.zeros((len(groups), len(candidates)))
    votes = np.zeros_like(scores)
    for row, group in enumerate(groups):
        scores[row, list(group)] = list(group.values())
        votes[row, list(group)] = 1
    sums = np.where(votes @ members > 0, scores @ members, -np.inf)
    best = sums.max(axis=0, initial=-np.inf)
    tied = (sums >= best - TIE) & np.isfinite(best)
    won = np.zeros(members.shape[1])
    for row, group in enumerate(groups):
        won += tied[row] * _right(candidates, members, group)
    return np.asarray(won / np.maximum(tied.sum(axis=0), 1))


def _scored_groups(candidates: Sequence[GradedCandidate]) -> list[dict[int, float]]:
    """For each answer, the scores of its members by index; unscored candidates are left out."""
    groups: dict[str, dict[int, float]] = {}
    for index, candidate in enumerate(candidates):
        if candidate.key is not None and candidate.score is not None:
            groups.setdefault(candidate.key, {})[index] = candidate.score
    return list(groups.values())


def _right(
    candidates: Sequence[GradedCandidate], members: Members, group: Mapping[int, float]
) -> Values | float:
    """The chance that the group's best-scored member is right, in each subset that has one."""
    grades = {candidates[index].correct for index in group}
    if len(grades) == 1:
        return float(grades.pop())
    right = np.zeros(members.shape[1])
    for score in sorted(set(group.values())):
        level = [index for index, own in group.items() if own == score]
        present = members[level].sum(axis=0)
        correct = np.array([candidates[index].correct for index in level]) @ members[level]
        right = np.where(present > 0, correct / np.maximum(present, 1), right)
    return right
