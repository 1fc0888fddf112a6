"""Whether two methods differ on the same problems: p-values, and what could have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ponder.evals.intervals import padded_stderr

RESAMPLES = 9_999
"""Random signs of all differences; up to 13 problems that differ, every one is looked at."""

_SAME = 1e-9
"""Sums that differ by no more are equal but for rounding."""


class SignFlip(NamedTuple):
    """Two-sided p-values of the sign-flip permutation test."""

    p: float
    """At most a share p of true null hypotheses gets a value of p or less."""
    mid_p: float
    """Sums as large as the one seen count half: for single answers, where many sums are equal, the
    share of rejected true null hypotheses is near the level, not far below it (Lancaster 1961)."""


class McNemar(NamedTuple):
    """Single answers of two methods on the same problems."""

    first_only: int
    """Problems that only the first method solves."""
    second_only: int
    mid_p: float
    """Two-sided mid-p value (Fagerland, Lydersen and Laake 2013)."""


def sign_flip(
    differences: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> SignFlip:
    """How often random signs of the problems' differences give a sum as far from 0 as theirs.

    If neither method is better, each difference is as likely with the other sign. Problems that do
    not differ tell nothing.
    """
    moved = np.array([value for value in differences if abs(value) > _SAME])
    seen = abs(moved.sum())
    if seen <= _SAME:
        return SignFlip(1.0, 1.0)
    if len(moved) == 1:
        return SignFlip(1.0, 0.5)
    from scipy.stats import permutation_test

    found = permutation_test(
        (moved,),
        np.sum,
        permutation_type="samples",
        n_resamples=resamples,
        batch=1_000,
        rng=seed,
    )
    sums = np.abs(found.null_distribution)
    drawn = len(sums) < 2 ** len(moved)  # then the signs seen count as one draw more
    beyond, level = np.sum(sums > seen + _SAME) + drawn, np.sum(np.abs(sums - seen) <= _SAME)
    of = len(sums) + drawn
    return SignFlip(float((beyond + level) / of), float((beyond + level / 2) / of))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The mid-p McNemar test of single answers, right or wrong, problem by problem."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    fewer, either = min(only_first, only_second), only_first + only_second
    if only_first == only_second:
        return McNemar(only_first, only_second, 1.0)
    from scipy.stats import binom

    mid = 2 * binom.cdf(fewer, either, 0.5) - binom.pmf(fewer, either, 0.5)
    return McNemar(only_first, only_second, float(mid))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(ranked):
        largest = max(largest, min((len(ranked) - rank) * p_values[place], 1.0))
        adjusted[place] = largest
    return adjusted


def detectable(
    differences: Sequence[float], power: float = 0.8, level: float = 0.05
) -> float | None:
    """The true difference that so many problems, as different as these, show with this power.

    None where it would be above 1, which no two methods differ by: there are too few problems.
    """
    normal = NormalDist()
    errors = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    found = errors * padded_stderr(differences)
    return found if found <= 1 else None
