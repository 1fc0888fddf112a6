"""How well scores tell right from wrong, with the problem as the unit of every interval."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from ponder.evals.bootstrap import Estimated, Values, Weights, bootstrapped, drawn, quotient
from ponder.evals.step_accuracy import auc
from ponder.training.rows import Integers, Vector

BINS = 10


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

    def of(self, chosen: NDArray[np.bool_]) -> Judged:
        """Only the chosen items."""
        return Judged(self.scores[chosen], self.right[chosen], self.problems[chosen])

    def brier(self) -> float:
        """Mean squared difference between score and truth."""
        return float(np.mean(np.square(self.scores - self.right)))

    def brier_of(self, rate: float) -> float:
        """The same for a score that is always `rate`."""
        return float(np.mean(np.square(rate - self.right)))


def area_of(judged: Judged) -> float | None:
    """The area that `auc_of` tells, without its interval; None where one class is missing."""
    area = auc(judged.scores.tolist(), (judged.right > 0.5).tolist())
    value = float(area(np.ones((1, len(judged.scores))))[0])
    return value if np.isfinite(value) else None


def auc_of(judged: Judged, seed: int) -> Estimated:
    """The chance that a right item scores above a wrong one, a tie counting half.

    Over all pairs, also of different problems: it includes telling easy problems from hard ones.
    Where truth is a share, an item is right if most of it is.
    """
    area = auc(judged.scores.tolist(), (judged.right > 0.5).tolist())
    return bootstrapped(area, drawn(judged.problems.tolist(), seed)).estimated()


def auc_within(judged: Judged, seed: int) -> Estimated:
    """The same over pairs within a problem: what choosing among its samples can use.

    The mean over problems that have both a right and a wrong item.
    """
    values = _areas(judged)

    def mean(weights: Weights) -> Values:
        return quotient(weights @ values, weights.sum(axis=1))

    if not len(values):
        return {"value": None, "ci_low": None, "ci_high": None}
    return bootstrapped(mean, drawn(range(len(values)), seed)).estimated()


def area_within(judged: Judged) -> float | None:
    """What `auc_within` tells, without its interval; None where no problem has both."""
    values = _areas(judged)
    return float(values.mean()) if len(values) else None


def _areas(judged: Judged) -> Vector:
    """The area of each problem that has both a right and a wrong item."""
    owns = [judged.problems == problem for problem in np.unique(judged.problems)]
    areas = [area_of(judged.of(own)) for own in owns]
    return np.array([area for area in areas if area is not None])


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
