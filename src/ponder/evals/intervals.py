"""Intervals over problems: the problem is the unit, whatever was sampled within it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, pvariance
from typing import NamedTuple

from ponder.errors import UsageError

_SAME = 1e-9
"""Values that differ by no more are equal but for rounding."""


class Interval(NamedTuple):
    """A mean over problems and how well they determine it."""

    mean: float
    low: float
    """Within [0, `mean`]."""
    high: float
    """Within [`mean`, 1]."""
    stderr: float
    """Sample standard deviation between problems over the root of their number."""


class Difference(NamedTuple):
    """How much better one method is than another on the same problems."""

    difference: float
    """Mean of first minus second; within [-1, 1]."""
    low: float
    high: float


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of one value a problem, each in [0, 1], with its interval at confidence `level`.

    Wilson's interval at the effective number of problems: their count times what values of mean p
    vary at most, p (1 - p), over what these vary. For values of 0 and 1 that is their count, and
    the interval is Wilson's own; values between, such as expected accuracies, vary less and count
    for more. To both variances one more problem is added, as far from the mean as the farthest:
    rare hard problems may have been missed. The width is never zero: not at 0 or 1, nor for
    problems that happen to agree.
    """
    count = len(values)
    if not count:
        raise UsageError("there are no problems to take a mean over")
    values = [_without_rounding(value) for value in values]
    mean = fmean(values)
    most = mean * (1 - mean)
    farthest = max(abs(value - mean) for value in values)
    one_more = farthest**2 if farthest > _SAME else most
    varied = math.fsum((value - mean) ** 2 for value in values)
    effective = count * (count * most + one_more) / (varied + one_more) if most > 0 else count
    low, high = _wilson(mean, effective, NormalDist().inv_cdf((1 + level) / 2))
    stderr = math.sqrt(varied / (count - 1) / count if count > 1 else most)
    return Interval(mean, low, high, stderr)


def _without_rounding(value: float) -> float:
    """Exactly 0 or 1 where it is that but for rounding: there alone `effective` is the count."""
    if value < _SAME:
        return 0.0
    return 1.0 if value > 1 - _SAME else value


def _wilson(mean: float, count: float, z: float) -> tuple[float, float]:
    """Wilson's score interval (1927) for a proportion of `count`."""
    centre = mean + z * z / (2 * count)
    half = z * math.sqrt(mean * (1 - mean) / count + (z / (2 * count)) ** 2)
    scale = 1 + z * z / count
    low, high = max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
    # At 0 and 1 one bound is the mean itself, but for rounding.
    return min(low, mean), max(high, mean)


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], level: float = 0.95
) -> Difference:
    """How much better `first` is than `second`: values in [0, 1] by problem id, the same problems.

    The interval is that of Bonett and Price (2012) for paired proportions: two problems are added,
    one that only the first method solves and one that only the second does, so that its width is
    never zero. For values between 0 and 1 they differ as much as the problems do that differ.
    Raises UsageError when the problems differ or there are none.
    """
    differences = differences_of(first, second)
    padded = _padded(differences)
    centre = fmean(padded)
    half = NormalDist().inv_cdf((1 + level) / 2) * padded_stderr(differences)
    return Difference(fmean(differences), max(centre - half, -1.0), min(centre + half, 1.0))


def differences_of(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    """First minus second by problem, in the first one's order.

    Raises UsageError when the problems differ or there are none.
    """
    lone = sorted(first.keys() ^ second.keys())
    if lone:
        raise UsageError(f"a paired difference needs the same problems: only one has {lone[0]!r}")
    if not first:
        raise UsageError("there are no problems to compare")
    return [value - second[problem] for problem, value in first.items()]


def padded_stderr(differences: Sequence[float]) -> float:
    """Standard error of the mean difference with the two added problems; above 0."""
    padded = _padded(differences)
    return math.sqrt(pvariance(padded) / len(padded))


def _padded(differences: Sequence[float]) -> list[float]:
    """The differences and two more, one each way.

    They are as large as those that are not 0 (root mean square); 1 where all are 0.
    """
    squares = [value**2 for value in differences if abs(value) > _SAME]
    added = math.sqrt(fmean(squares)) if squares else 1.0
    return [*differences, added, -added]
