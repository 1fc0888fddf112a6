"""Intervals by drawing problems again: for figures that are no mean over problems."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000

FEWEST = 5
"""Clusters to draw from, at least, for an interval: draws of fewer are too much alike, and of a
single one all the same."""

_NUMBERS_TOGETHER = 2_000_000
"""Weights at once: 16 MB."""

Values = NDArray[np.float64]
Weights = NDArray[np.float64]
"""One row a draw, one column an item: how often the item is in the draw."""

Statistic = Callable[[Weights], Values]
"""A figure of each draw; NaN where a draw does not tell it."""


class Estimated(TypedDict):
    """A figure with its 95 % interval; None where there is nothing to tell it from.

    A figure of too few problems has no interval.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None


class Bootstrapped(NamedTuple):
    """A figure of the data, and of each draw."""

    value: float
    draws: Values
    clusters: int
    """Drawn from."""

    def estimated(self) -> Estimated:
        """With the middle 95 % of the draws (the percentile interval), of `FEWEST` and more."""
        if np.isnan(self.value):
            return {"value": None, "ci_low": None, "ci_high": None}
        if self.clusters < FEWEST:
            return {"value": self.value, "ci_low": None, "ci_high": None}
        low, high = np.nanquantile(self.draws, [0.025, 0.975])
        return {"value": self.value, "ci_low": float(low), "ci_high": float(high)}


class Draws(NamedTuple):
    """Draws of whole clusters with replacement, as many as there are."""

    times: NDArray[np.int64]
    """How often each cluster is in each draw: one row a draw."""
    clusters: NDArray[np.intp]
    """The cluster of each item."""

    def of(self, items: Sequence[int]) -> Draws:
        """The same draws with only these items."""
        return Draws(self.times, self.clusters[list(items)])

    def weights(self) -> Iterator[Weights]:
        """All draws, in pieces that fit in memory."""
        together = max(_NUMBERS_TOGETHER // max(len(self.clusters), 1), 1)
        for start in range(0, len(self.times), together):
            yield self.times[start : start + together, self.clusters].astype(np.float64)


def drawn(clusters: Sequence[Hashable], seed: int = 0) -> Draws:
    """Draws for items whose clusters have these names.

    An item's cluster is its problem: items of one problem are no independent evidence.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    count = len(numbers)
    times = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=DRAWS)
    return Draws(times, np.array([numbers[name] for name in clusters], dtype=np.intp))


def bootstrapped(statistic: Statistic, draws: Draws) -> Bootstrapped:
    """A statistic of the data itself, where each item counts once, and of each draw."""
    whole = statistic(np.ones((1, len(draws.clusters))))
    found = np.concatenate([*map(statistic, draws.weights())])
    return Bootstrapped(float(whole[0]), found, draws.times.shape[1])


def ratio(part: Sequence[bool], of: Sequence[bool]) -> Statistic:
    """The share of items of `of` that are in `part` too."""
    among = np.array(of, dtype=np.float64)
    both = np.array(part, dtype=np.float64) * among

    def share(weights: Weights) -> Values:
        return quotient(weights @ both, weights @ among)

    return share


def quotient(above: Values, below: Values) -> Values:
    """The quotients, NaN where there is nothing to divide by."""
    empty = np.full_like(above, np.nan)
    return np.asarray(np.divide(above, below, out=empty, where=below > 0))
