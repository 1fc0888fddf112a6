"""From values to places in a figure, and the ticks that a person reads them by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LEAST_SPAN = 0.2
"""Accuracies are never drawn on less: noise must not look like an effect."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps the values `low` to `high` onto the pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`; outside the range it stands at the border."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def accuracy_range(values: Iterable[float]) -> tuple[float, float]:
    """Round bounds that hold all `values` (0 to 1) and span at least 0.2."""
    drawn = list(values) or [0.0, 1.0]
    least, most = max(0.0, min(drawn)), min(1.0, max(drawn))
    step = 0.1 if most - least <= 0.5 else 0.2
    low = math.floor(least / step + 1e-9) * step
    high = min(1.0, math.ceil(most / step - 1e-9) * step)
    if high - low < _LEAST_SPAN:
        high = min(1.0, low + _LEAST_SPAN)
        low = max(0.0, high - _LEAST_SPAN)
    return low, high


def accuracy_ticks(low: float, high: float) -> list[float]:
    """At most eight round accuracies from `low` to `high`, both included."""
    step = next(step for step in (0.05, 0.1, 0.2) if (high - low) / step < 7 + 1e-9)
    count = math.floor((high - low) / step + 1e-9)
    return [round(low + index * step, 4) for index in range(count + 1)]


def log_range(values: Iterable[float]) -> tuple[float, float]:
    """Bounds of a logarithmic axis with air around all `values`, which are above 0."""
    drawn = list(values) or [1.0]
    low, high = min(drawn), max(drawn)
    air = max((high / low) ** 0.1, 1.15 if high > low else 2.0)
    return low / air, high * air


def count_ticks(values: Iterable[float]) -> list[float]:
    """The counts themselves, at most eight: beyond that every second, from the largest down."""
    ticks = sorted(set(values))
    while len(ticks) > 8:
        ticks = ticks[::-1][::2][::-1]
    return ticks


def decade_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... between `low` and `high`, thinned to at most seven.

    On a short axis 1, 1.5, 2, 3, 4, 6, 8, 10; on one that holds none of these its middle alone.
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 7:
            break
    if len(ticks) < 2:
        fine = [
            digit * 10.0**exponent for exponent in exponents for digit in (1, 1.5, 2, 3, 4, 6, 8)
        ]
        ticks = [tick for tick in fine if low <= tick <= high]
    return ticks or [float(f"{math.sqrt(low * high):.2g}")]
