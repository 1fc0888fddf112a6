"""Logistic regression whose penalty is chosen by cross-validation over problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ponder.training.contrast import Contrast
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
    """Cross-validated loss by penalty; those not tried are left out."""


def fit(rows: Rows, penalty: float, contrast: float = 0.0, start: Linear | None = None) -> Linear:
    """The minimum of the loss + penalty / 2 |weights|^2.

    The loss is the mean weighted cross-entropy, or for the share `contrast` that of right against
    wrong samples of a problem. Features should be standardised. The bias is not penalised.
    """
    loss_of = _loss(rows, contrast)
    transposed = rows.features.T

    def objective(point: Vector) -> tuple[float, Vector]:
        linear = Linear(point[:-1], float(point[-1]))
        loss, residuals = loss_of(linear.logits(rows.features))
        slopes = (transposed @ residuals.astype(np.float32)).astype(np.float64)
        value = loss + penalty / 2 * float(linear.weights @ linear.weights)
        return value, np.append(slopes + penalty * linear.weights, residuals.sum())

    first = Linear(np.zeros(rows.features.shape[1]), 0.0) if start is None else start
    point = minimise(objective, np.append(first.weights, first.bias))
    return Linear(point[:-1], float(point[-1]))


def _loss(rows: Rows, contrast: float) -> Callable[[Vector], tuple[float, Vector]]:
    """From logits to the loss and its slope by row."""
    shares = rows.weights / rows.weights.sum()
    pairs = Contrast.of(rows) if contrast else None

    def of(logits: Vector) -> tuple[float, Vector]:
        loss = cross_entropy(logits, rows.targets, shares)
        slopes = shares * (sigmoid(logits) - rows.targets)
        if pairs is None:
            return loss, slopes
        other, other_slopes = pairs.loss(logits)
        return (
            (1 - contrast) * loss + contrast * other,
            (1 - contrast) * slopes + contrast * other_slopes,
        )

    return of


def fit_chosen(
    rows: Rows,
    folds: Integers,
    penalties: Sequence[float] = PENALTIES,
    contrast: float = 0.0,
) -> Chosen:
    """The fit to all rows at the penalty whose loss on left-out problems is least.

    `folds` is the number of each row's fold: all rows of a problem have the same. The search along
    the ever weaker penalties ends after two in a row that were worse.
    """
    parts = [(rows.where(folds != fold), rows.where(folds == fold)) for fold in np.unique(folds)]
    parts = [(inside, outside) for inside, outside in parts if len(inside)]
    fits: list[Linear | None] = [None] * len(parts)
    losses: dict[float, float] = {}
    for penalty in penalties:
        pairs = zip(parts, fits, strict=True)
        fits = [fit(inside, penalty, contrast, old) for (inside, _), old in pairs]
        losses[penalty] = _left_out_loss(fits, [outside for _, outside in parts], contrast)
        if _worsens(list(losses.values())):
            break
    best = min(losses, key=losses.__getitem__)
    return Chosen(fit(rows, best, contrast), best, losses)


def _left_out_loss(
    fits: Sequence[Linear | None], left_out: Sequence[Rows], contrast: float
) -> float:
    total = weight = 0.0
    for linear, rows in zip(fits, left_out, strict=True):
        assert linear is not None
        own = float(rows.weights.sum())
        total += own * _loss(rows, contrast)(linear.logits(rows.features))[0]
        weight += own
    return total / weight if weight else 0.0


def _worsens(losses: Sequence[float]) -> bool:
    recent = losses[-3:]
    return len(recent) == 3 and all(after > before for before, after in pairwise(recent))
