"""Platt scaling: logits to probabilities that mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ponder.training.rows import Vector, sigmoid

_PRIOR = 1e-3
"""Pulls towards no change, so that perfectly separated labels have a finite scale."""
_LEAST_SCALE = 1e-2
"""A head whose logits point the wrong way on the validation problems keeps its ranking, flattened,
about the base rate: the figures on the held-out problems say what it is worth."""


class Calibration(NamedTuple):
    """A probability for each logit: sigmoid(scale * logit + shift)."""

    scale: float
    """Over 0."""
    shift: float

    def apply(self, logits: Vector) -> Vector:
        """Probabilities of the same shape."""
        return sigmoid(self.scale * logits + self.shift)


def platt(logits: Vector, targets: Vector, weights: Vector) -> Calibration:
    """Scale and shift of least weighted cross-entropy (Platt 1999), by Newton's method.

    Targets may be soft. `logits` come from data that the head was not fitted to.
    """
    shares = weights / weights.sum()
    ones = np.ones((1, len(logits)))
    both = np.concatenate([logits[None, :], ones])
    scale, shift = _newton(both, np.zeros_like(logits), targets, shares, np.array([1.0, 0.0]))
    if scale < _LEAST_SCALE:
        (shift,) = _newton(ones, _LEAST_SCALE * logits, targets, shares, np.zeros(1))
    return Calibration(max(float(scale), _LEAST_SCALE), float(shift))


def _newton(
    inputs: Vector, known: Vector, targets: Vector, shares: Vector, start: Vector
) -> Vector:
    """The factors [rows] of `inputs` [rows, items] of least cross-entropy, drawn towards `start`.

    An item's logit is its `known` one and what its inputs add.
    """
    point = start
    for _ in range(50):
        predicted = sigmoid(known + point @ inputs)
        gradient = inputs @ (shares * (predicted - targets)) + _PRIOR * (point - start)
        curvature = (inputs * (shares * predicted * (1 - predicted))) @ inputs.T
        step = np.linalg.solve(curvature + _PRIOR * np.eye(len(point)), gradient)
        # Far from the minimum the curvature vanishes and a whole step would leap over it.
        point = point - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return point
