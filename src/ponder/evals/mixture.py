"""Two sizes mixed so that a problem costs a wanted mean: a strategy that could really be run.

Each problem is solved at one of the two sizes by the throw of a coin, so accuracy and cost are
those of the two, weighed; nothing is assumed of what lies between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_ROUNDING = 1e-9
"""Relative."""


class Mixture(NamedTuple):
    """One size for some problems, another for the rest."""

    fewer: int
    more: int
    share: float
    """Of `more`, within [0, 1]."""

    @property
    def n(self) -> float:
        """Their mean: between two whole numbers both are mixed."""
        return self.fewer + self.share * (self.more - self.fewer)

    def of(self, fewer: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
        """What is expected of each problem, from its values at both sizes."""
        return {p: (1 - self.share) * value + self.share * more[p] for p, value in fewer.items()}


def mixture(
    cost: float, costs: Sequence[float], sizes: Sequence[int], *, every: bool
) -> Mixture | None:
    """The first two neighbours among `sizes` that can be mixed so that a problem costs `cost`.

    `costs` are the means at `sizes`. `every` says that all whole sizes between can be had and that
    cost grows evenly with them, as with samples: then the two around the cost are mixed. None where
    every two neighbours cost more or less.
    """
    points = list(zip(sizes, costs, strict=True))
    for (fewer, low), (more, high) in zip(points, points[1:] or points, strict=False):
        least, most = min(low, high), max(low, high)
        if least * (1 - _ROUNDING) <= cost <= most * (1 + _ROUNDING):
            share = min(max((cost - low) / (high - low), 0.0), 1.0) if high != low else 0.0
            found = Mixture(fewer, more, share)
            return _narrowed(found.n) if every else found
    return None


def _narrowed(n: float) -> Mixture:
    below = math.floor(n + _ROUNDING)
    return Mixture(below, math.ceil(n - _ROUNDING), max(n - below, 0.0))
