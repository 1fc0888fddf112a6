"""Logistic regression whose penalty is chosen by cross-validation over problems."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ponder.training.lbfgs import minimise
from ponder.training.rows import Integers, Matrix, Rows, Vector, cross_entropy, sigmoid

PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Tried in turn, the strongest first: each fit starts from the one before."""
FOLDS = 5


class Linear(NamedTuple):
    """A logit for each row: features @ weights + bias."""

    weights: Vector
    """[width]"""
    bias: float

    def logits(self, features: Matrix) -> Vector:
        """[rows, width] as [rows]."""
        product = features @ self.weights.astype(np.float32)
        return product.astype(np.float64) + self.bias


class Chosen(NamedTuple):
    """A fit, and how its penalty was chosen."""

    linear: Linear
    penalty: float
    losses: dict[float, float]
    """Cross-validated cross-entropy by penalty; those not tried are left out."""


def fit(rows: Rows, penalty: float, start: Linear | None = None) -> Linear:
    """The minimum of mean weighted cross-entropy + penalty / 2 |weights|^2.

    Features should be standardised. The bias is not penalised.
    """
    shares = rows.weights / rows.weights.sum()
    transposed = rows.features.T

    def objective(point: Vector) -> tuple[float, Vector]:
        linear = Linear(point[:-1], float(point[-1]))
        logits = linear.logits(rows.features)
        loss = cross_entropy(logits, rows.targets, shares)
        residuals = shares * (sigmoid(logits) - rows.targets)
        slopes = (transposed @ residuals.astype(np.float32)).astype(np.float64)
        value = loss + penalty / 2 * float(linear.weights @ linear.weights)
        return value, np.append(slopes + penalty * linear.weights, residuals.sum())

    first = Linear(np.zeros(rows.features.shape[1]), 0.0) if start is None else start
    point = minimise(objective, np.append(first.weights, first.bias))
    return Linear(point[:-1], float(point[-1]))


def fit_chosen(rows: Rows, folds: Integers, penalties: Sequence[float] = PENALTIES) -> Chosen:
    """The fit to all rows at the penalty whose loss on left-out problems is least.

    `folds` is the number of each row's fold: all rows of a problem have the same. The search along
    the ever weaker penalties ends after two in a row that were worse.
    """
    parts = [(rows.where(folds != fold), rows.where(folds == fold)) for fold in np.unique(folds)]
    parts = [(inside, outside) for inside, outside in parts if len(inside)]
    fits: list[Linear | None] = [None] * len(parts)
    losses: dict[float, float] = {}
    for penalty in penalties:
        fits = [fit(inside, penalty, old) for (inside, _), old in zip(parts, fits, strict=True)]
        losses[penalty] = _left_out_loss(fits, [outside for _, outside in parts])
        if _worsens(list(losses.values())):
            break
    best = min(losses, key=losses.__getitem__)
    return Chosen(fit(rows, best), best, losses)


def _left_out_loss(fits: Sequence[Linear | None], left_out: Sequence[Rows]) -> float:
    total = weight = 0.0
    for linear, rows in zip(fits, left_out, strict=True):
        assert linear is not None
        own = float(rows.weights.sum())
        total += own * cross_entropy(linear.logits(rows.features), rows.targets, rows.weights)
        weight += own
    return total / weight if weight else 0.0


def _worsens(losses: Sequence[float]) -> bool:
    recent = losses[-3:]
    return len(recent) == 3 and all(after > before for before, after in pairwise(recent))
