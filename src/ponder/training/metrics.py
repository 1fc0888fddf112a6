"""How well scores tell right from wrong, with the problem as the unit of every interval."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from ponder.training.rows import Integers, Vector

RESAMPLES = 1000
BINS = 10
_AT_ONCE = 100
"""Resamples whose weights are in memory together."""


class Area(TypedDict):
    """An area under the ROC curve; None where one class is missing."""

    value: float | None
    low: float | None
    """Of the 95 % interval by bootstrap over problems."""
    high: float | None


class Bin(TypedDict):
    """Predictions from `low` up to `high` (the last bin includes it)."""

    low: float
    high: float
    count: int
    predicted: float | None
    """Mean prediction; None in an empty bin."""
    observed: float | None
    """Share that was right."""


class Judged(NamedTuple):
    """Predictions beside what was true."""

    scores: Vector
    """[items]"""
    right: Vector
    """[items] 0 or 1, or a share."""
    problems: Integers
    """[items] The number of each one's problem."""

    def brier(self) -> float:
        """Mean squared difference between score and truth."""
        return float(np.mean(np.square(self.scores - self.right)))

    def brier_of(self, rate: float) -> float:
        """The same for a score that is always `rate`."""
        return float(np.mean(np.square(rate - self.right)))


def auc(judged: Judged, seed: int, resamples: int = RESAMPLES) -> Area:
    """The chance that a right item scores above a wrong one, a tie counting half.

    Over all pairs, also of different problems: it includes telling easy problems from hard ones.
    """
    ranked = _Ranked(judged.scores, judged.right)
    value = float(ranked.areas(np.ones((1, len(judged.scores))))[0])
    areas = np.concatenate(
        [ranked.areas(counts[:, judged.problems]) for counts in _resamples(judged, seed, resamples)]
    )
    return _area(value, areas)


def auc_within(judged: Judged, seed: int, resamples: int = RESAMPLES) -> Area:
    """The same over pairs within a problem: what choosing among its samples can use.

    The mean over problems that have both a right and a wrong item.
    """
    values = np.full(int(judged.problems.max(initial=-1)) + 1, np.nan)
    for problem in np.unique(judged.problems):
        own = judged.problems == problem
        ranked = _Ranked(judged.scores[own], judged.right[own])
        values[problem] = ranked.areas(np.ones((1, int(own.sum()))))[0]
    usable = np.isfinite(values)
    if not usable.any():
        return {"value": None, "low": None, "high": None}
    means = []
    for counts in _resamples(judged, seed, resamples):
        chosen = counts[:, usable]
        totals = chosen.sum(axis=1)
        sums = chosen @ values[usable]
        means.append(np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0))
    return _area(float(values[usable].mean()), np.concatenate(means))


def reliability(judged: Judged, bins: int = BINS) -> list[Bin]:
    """Bins of equal width: in each, what was predicted and what came."""
    places = np.minimum((judged.scores * bins).astype(np.int64), bins - 1)
    return [_bin(judged, places == place, place, bins) for place in range(bins)]


def _bin(judged: Judged, own: NDArray[np.bool_], place: int, bins: int) -> Bin:
    filled = bool(own.any())
    return {
        "low": place / bins,
        "high": (place + 1) / bins,
        "count": int(own.sum()),
        "predicted": float(judged.scores[own].mean()) if filled else None,
        "observed": float(judged.right[own].mean()) if filled else None,
    }


class _Ranked:
    """Items sorted once, for the areas of many weightings of them."""

    def __init__(self, scores: Vector, right: Vector) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._right = right[self._order]
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))

    def areas(self, weights: Vector) -> Vector:
        """[weightings, items] as [weightings]; NaN where one class has no weight."""
        ordered = weights[:, self._order]
        positive = np.add.reduceat(ordered * self._right, self._starts, axis=1)
        negative = np.add.reduceat(ordered * (1 - self._right), self._starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        won = (positive * (below + negative / 2)).sum(axis=1)
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        areas: Vector = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        return areas


def _resamples(judged: Judged, seed: int, resamples: int) -> list[Vector]:
    """How often each problem is drawn, [resamples, problems] in pieces."""
    present = np.unique(judged.problems)
    rng = np.random.default_rng(seed)
    pieces = []
    for first in range(0, resamples, _AT_ONCE):
        rows = min(_AT_ONCE, resamples - first)
        drawn = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), rows)
        counts = np.zeros((rows, int(present.max()) + 1))
        counts[:, present] = drawn
        pieces.append(counts)
    return pieces


def _area(value: float, resampled: Vector) -> Area:
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or not len(defined):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(defined, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}
