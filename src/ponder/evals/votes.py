"""The exact chance that a majority of a random subset is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Waves = NDArray[np.complex128]
"""A generating function of the subset's size, at half the roots of unity: its `rfft`."""


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
    roots = np.exp(-2j * np.pi * np.arange((count + 1) // 2 + 1) / (count + 1))
    blanks = count - sum(votes * groups for votes, groups, _ in classes)
    silent = (1 - chance + chance * roots) ** blanks
    fewer = [np.zeros_like(roots) for _ in classes]
    won = np.zeros_like(roots)
    for winning in range(1, min(size, max((c.votes for c in classes), default=0)) + 1):
        exactly = [_binomial(winning, c.votes, chance) * roots**winning for c in classes]
        for total, c in zip(fewer, classes, strict=True):
            total += _binomial(winning - 1, c.votes, chance) * roots ** (winning - 1)
        ties = min(size // winning, sum(c.groups for c in classes if c.votes >= winning))
        won += _won(classes, fewer, exactly, ties)
    coefficient = float(np.fft.irfft(won * silent, count + 1)[size])
    return min(max(coefficient / _binomial(size, count, chance), 0.0), 1.0)


def _won(
    classes: Sequence[GroupClass], fewer: Sequence[Waves], exactly: Sequence[Waves], ties: int
) -> Waves:
    """Generating function of the subsets that a right answer wins, for one winning count."""
    nodes, weights = _unit_quadrature((ties + 1) // 2)
    unwon = np.ones((len(nodes), len(fewer[0])), dtype=np.complex128)
    won = np.zeros_like(unwon)
    for (_, groups, share), less, exact in zip(classes, fewer, exactly, strict=True):
        others = less + nodes[:, None] * exact
        rest = others ** (groups - 1)
        won = (won * others + unwon * (groups * share * exact)) * rest
        unwon = unwon * others * rest
    return np.asarray(weights @ won)


def _binomial(successes: int, trials: int, chance: float) -> float:
    """P(successes of trials), 0 < chance <= 1; by logarithms, since C(n, k) outgrows a float."""
    failures = trials - successes
    if failures < 0 or chance == 1:
        return float(failures == 0)
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    return math.exp(ways + successes * math.log(chance) + failures * math.log1p(-chance))


@lru_cache(maxsize=256)
def _unit_quadrature(points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on [0, 1], exact for degrees below 2 * points."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (nodes + 1) / 2, weights / 2
