"""Means over subsets where there is no closed form: subsets are looked at one by one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ponder.evals.graded import Estimate, GradedCandidate, probability
from ponder.search.selection import TIE

ENUMERATED = 200_000
"""Up to so many subsets are all looked at; beyond it, random ones."""

DRAWS = 4_000
"""Random subsets a problem: a standard error of at most 0.008, far less over many problems."""

SHUFFLES = 100
"""Of a problem's candidates: the more, the less it matters which places were drawn for all."""

_PLACES, _ROWS = 2**16, 16
"""Places looked at together, few enough to stay in the processor's cache; rows at the least."""

Subsets = NDArray[np.intp]
"""One column a subset, one row a member: places of what subsets are taken of."""

Values = NDArray[np.float64]
"""One value a subset."""


Payoff = Callable[[Subsets], Values]
"""The chance that each subset's choice is right."""


def subset_mean(payoff: Payoff, count: int, size: int, name: str) -> Estimate:
    """The payoff's mean over subsets of `size` of `count` things.

    Exact while there are at most `ENUMERATED` subsets; else the mean over `DRAWS` random ones,
    which depend on the `name` only. All names share the same places, and each shuffles its things
    before it looks at them, `SHUFFLES` times: so their errors are uncorrelated all the same.
    """
    if math.comb(count, size) <= ENUMERATED:
        values = _each(payoff, np.arange(count), _enumerated(count, size))
        return Estimate(probability(float(values.mean())))
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    shuffled = generator.permuted(np.tile(np.arange(count), (SHUFFLES, 1)), axis=1)
    values = _each(payoff, shuffled.ravel(), _drawn(count, size))
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(DRAWS))


def _each(payoff: Payoff, things: Subsets, places: Subsets) -> Values:
    """One value a subset of the things that stand at these places, looked at in pieces."""
    together = max(_PLACES // max(len(places), _ROWS), 1)
    starts = range(0, places.shape[1], together)
    return np.concatenate([payoff(things[places[:, at : at + together]]) for at in starts])


@lru_cache(maxsize=8)
def _enumerated(count: int, size: int) -> Subsets:
    """Every subset once; kept, since the problems of a pool have equal counts."""
    total = math.comb(count, size)
    flat = chain.from_iterable(combinations(range(count), size))
    return np.ascontiguousarray(np.fromiter(flat, np.intp, total * size).reshape(total, size).T)


@lru_cache(maxsize=16)
def _drawn(count: int, size: int) -> Subsets:
    """Places of `DRAWS` random subsets in `SHUFFLES` rows of `count`, each row's equally often.

    A subset is what stands first in a random order (Fisher and Yates 1938).
    """
    generator = np.random.default_rng(0)
    orders = np.repeat(np.arange(count)[:, None], DRAWS, axis=1)
    columns = np.arange(DRAWS)
    for place in range(size):
        other = generator.integers(place, count, size=DRAWS)
        picked = orders[other, columns]
        orders[other, columns] = orders[place]
        orders[place] = picked
    return orders[:size] + columns % SHUFFLES * count


class _MixedGroup(NamedTuple):
    """An answer of which some members are right and others are not."""

    row: int
    ranks: Values
    """The score of each member by its index; -inf for a candidate that is none."""
    right: NDArray[np.bool_]
    """Members that are right."""

    def chance(self, subsets: Subsets) -> Values:
        """That its best-scored member is right, where each subset has one; equals share evenly."""
        ranks = self.ranks[subsets]
        best = ranks == ranks.max(axis=0, initial=-np.inf)
        return np.asarray((best & self.right[subsets]).sum(axis=0) / best.sum(axis=0))


@dataclass(frozen=True, slots=True)
class WeightedVote:
    """The chance that weighted voting among these candidates is right, for each subset of them.

    Groups within `TIE` of the largest sum are tied and share evenly. The winner is represented by
    its best-scored member; tied members share evenly too. Unscored candidates do not vote.
    """

    rows: Subsets
    """Each candidate's group; one more than there are for a candidate that does not vote."""
    scores: Values
    groups: int
    right: tuple[int, ...]
    """Groups of which all members are right."""
    mixed: tuple[_MixedGroup, ...]

    @classmethod
    def among(cls, candidates: Sequence[GradedCandidate]) -> WeightedVote:
        """Prepared once, to look at many subsets."""
        groups = _scored_groups(candidates)
        rows = np.full(len(candidates), len(groups))
        for row, members in enumerate(groups):
            rows[members] = row
        scores = np.array([1.0 if c.score is None else c.score for c in candidates])
        correct = np.array([c.correct for c in candidates], dtype=np.bool_)
        mixed = [
            _MixedGroup(row, np.where(rows == row, scores, -np.inf), correct & (rows == row))
            for row, members in enumerate(groups)
            if correct[members].any() and not correct[members].all()
        ]
        right = tuple(row for row, members in enumerate(groups) if correct[members].all())
        return cls(rows, scores, len(groups), right, tuple(mixed))

    def __call__(self, subsets: Subsets) -> Values:
        """One chance a subset."""
        sums = self._sums(subsets)
        best = sums.max(axis=0, initial=-np.inf)
        tied = sums >= np.where(np.isfinite(best), best - TIE, np.inf)
        won = tied[list(self.right)].sum(axis=0, dtype=np.float64)
        for group in self.mixed:
            ties = tied[group.row]
            won[ties] += group.chance(subsets[:, ties])
        return np.asarray(won / np.maximum(tied.sum(axis=0), 1))

    def _sums(self, subsets: Subsets) -> Values:
        """The sum of scores, a row a group and a column a subset; -inf where it has no member."""
        shape = (self.groups + 1, subsets.shape[1])
        places = (self.rows * shape[1])[subsets]
        places += np.arange(shape[1])
        flat, total = places.ravel(), shape[0] * shape[1]
        sums = np.bincount(flat, self.scores[subsets].ravel(), total).astype(np.float64, copy=False)
        positive = self.scores.min(initial=1.0) > 0
        sums[sums == 0 if positive else np.bincount(flat, minlength=total) == 0] = -np.inf
        return sums.reshape(shape)[:-1]


def _scored_groups(candidates: Sequence[GradedCandidate]) -> list[list[int]]:
    """The members of each answer by index; unscored candidates are left out."""
    groups: dict[str, list[int]] = {}
    for index, candidate in enumerate(candidates):
        if candidate.key is not None and candidate.score is not None:
            groups.setdefault(candidate.key, []).append(index)
    return list(groups.values())
