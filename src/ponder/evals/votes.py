"""The exact chance that a majority of a random subset is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ponder.evals.graded import probability

Waves = NDArray[np.complex128]
"""A generating function of the subset's size, at half the roots of unity: its `rfft`."""


_NOTHING = 1e-20
"""So small a chance is lost in rounding."""


class GroupClass(NamedTuple):
    """Groups of votes of one size, which all behave alike."""

    votes: int
    """Members of each group, at least 1."""
    groups: int
    """How many such groups there are."""
    share: float
    """Mean share of right members over these groups."""


def majority_chance(classes: Sequence[GroupClass], count: int, size: int) -> float:
    """Expected accuracy of majority voting over random subsets of `size` of `count` candidates.

    Candidates in none of the groups cast no vote. A tie of k groups pays 1/k to each; the winner
    is represented by a random member.

    The groups' counts in a subset are multivariate hypergeometric: independent binomials given
    their sum. With w votes for the winner, the sum's generating function is a product over groups
    of "fewer than w" + t * "exactly w". Each tied group brings a factor t, so the integral over t
    from 0 to 1 is the 1/k. The integral (Gauss-Legendre) and the coefficient of the sum (a Fourier
    transform) are exact but for rounding.
    """
    chance = size / count
    summed = _binomials(count, chance)
    period = _period(summed, size)
    powers = _powers(count, period)
    rising = sorted(classes)
    counts = [_Counts.of(votes, chance, powers) for votes, _, _ in rising]
    blanks = count - sum(votes * groups for votes, groups, _ in classes)
    losing = (1 - chance + chance * powers[1]) ** blanks
    won, first = np.zeros_like(losing), 1
    for place, (votes, groups, _) in enumerate(rising):
        last = min(votes, size)
        if first <= last:
            won += losing * _won(rising[place:], counts[place:], range(first, last + 1), size)
        losing = losing * counts[place].at_most[-1] ** groups
        first = last + 1
    coefficient = float(np.fft.irfft(won, period)[size % period])
    return probability(coefficient / float(summed[size]))


class _Counts(NamedTuple):
    """Generating functions of how many members of one group are in a subset."""

    exactly: Waves
    """Row k: k of them."""
    at_most: Waves

    @classmethod
    def of(cls, votes: int, chance: float, powers: Waves) -> _Counts:
        """Of a group of so many votes, each of which is in the subset by chance."""
        exactly = _binomials(votes, chance)[:, None] * powers[: votes + 1]
        return cls(exactly, np.cumsum(exactly, axis=0))


def _won(
    classes: Sequence[GroupClass], counts: Sequence[_Counts], winning: range, size: int
) -> Waves:
    """Generating function of the subsets that a right answer wins with one of these counts.

    Each of the `classes` has at least so many votes, and its `counts`.
    """
    if not any(c.share for c in classes):
        return np.zeros_like(counts[0].exactly[0])
    ties = min(size // winning.start, sum(c.groups for c in classes))
    nodes, weights = _unit_quadrature((ties + 1) // 2)
    shape = (len(nodes), len(winning), counts[0].exactly.shape[1])
    unwon: Waves = np.ones(shape, dtype=np.complex128)
    won: Waves = np.zeros(shape, dtype=np.complex128)
    # Groups without a right member first: nothing is won yet that they would have to multiply.
    ordered = sorted(zip(classes, counts, strict=True), key=lambda pair: pair[0].share)
    for (_, groups, share), own in ordered:
        exact = own.exactly[winning.start : winning.stop]
        others = own.at_most[winning.start - 1 : winning.stop - 1] + nodes * exact
        if share:
            rest = others ** (groups - 1)
            won = (won * others + unwon * (groups * share * exact)) * rest
        unwon = unwon * others**groups
    return np.asarray(weights @ won.sum(axis=1))


def _binomials(trials: int, chance: float) -> NDArray[np.float64]:
    """P(0), ..., P(trials) successes, 0 < chance <= 1; by logarithms: C(n, k) outgrows a float."""
    if chance == 1:
        return np.append(np.zeros(trials), 1.0)
    factorials = _log_factorials(trials)
    successes = np.arange(trials + 1)
    ways = factorials[-1] - factorials - factorials[::-1]
    log_chances = successes * math.log(chance) + successes[::-1] * math.log1p(-chance)
    return np.asarray(np.exp(ways + log_chances))


@lru_cache(maxsize=1024)
def _log_factorials(most: int) -> NDArray[np.float64]:
    """Logarithms of k! for k = 0 to `most`."""
    return np.array([math.lgamma(k + 1) for k in range(most + 1)])


def _period(summed: NDArray[np.float64], size: int) -> int:
    """How many roots of unity tell the coefficient of `size`; at most one more than the degree.

    With fewer than the degree, coefficients a period apart are added up. None is larger than the
    binomial of the sum there; those that are added here are all below rounding.
    """
    near = np.flatnonzero(summed > _NOTHING)
    return int(max(near[-1] - size, size - near[0])) + 1


@lru_cache(maxsize=32)
def _powers(count: int, period: int) -> Waves:
    """x^0, x^1, ..., x^count, a row each, at half the roots of unity of that order."""
    turns = np.outer(np.arange(count + 1), np.arange(period // 2 + 1)) % period
    return np.asarray(np.exp(-2j * np.pi * turns / period))


@lru_cache(maxsize=256)
def _unit_quadrature(points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on [0, 1], exact for degrees below 2 * points."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (nodes[:, None, None] + 1) / 2, weights / 2
