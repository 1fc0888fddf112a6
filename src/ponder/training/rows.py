"""What a head is fitted to: a row of features for each distinct step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_SCALE = 1e-6
"""A feature that varies less is constant, and is left as it is."""


class Standard(NamedTuple):
    """Brings each feature to mean 0 and standard deviation 1."""

    mean: Matrix
    """[width]"""
    scale: Matrix
    """[width] Over 0."""

    def apply(self, features: Matrix) -> Matrix:
        """[rows, width] as [rows, width]."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True, slots=True)
class Rows:
    """Steps with their labels."""

    features: Matrix
    """[rows, width]"""
    targets: Vector
    """[rows] The share of solutions through this step that end right, or its estimate."""
    weights: Vector
    """[rows] Of each step; the steps of one solution sum to 1."""
    problems: Integers
    """[rows] The number of each step's problem."""
    ends: Vector
    """[rows] How many solutions end with the step."""

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, chosen: NDArray[np.bool_] | Integers) -> Self:
        """Only the chosen rows: a mask, or their numbers."""
        return type(self)(
            self.features[chosen],
            self.targets[chosen],
            self.weights[chosen],
            self.problems[chosen],
            self.ends[chosen],
        )

    def standardised(self, by: Standard) -> Self:
        """The same with standardised features."""
        return replace(self, features=by.apply(self.features))

    def standard(self) -> Standard:
        """Mean and deviation of each feature, by the rows' weights."""
        shares = (self.weights / self.weights.sum())[None, :]
        mean = (shares @ self.features)[0]
        variance = (shares @ np.square(self.features - mean.astype(np.float32)))[0]
        scale = np.sqrt(variance)
        scale[scale < LEAST_SCALE] = 1.0
        return Standard(mean.astype(np.float32), scale.astype(np.float32))

    @property
    def base_rate(self) -> float:
        """The weighted mean of the targets."""
        return float(np.average(self.targets, weights=self.weights))


def sigmoid(logits: Vector) -> Vector:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))


def cross_entropy(logits: Vector, targets: Vector, weights: Vector) -> float:
    """Weighted mean of -t log p - (1 - t) log(1 - p), in nats."""
    losses = np.logaddexp(0.0, logits) - targets * logits
    return float(np.average(losses, weights=weights))
