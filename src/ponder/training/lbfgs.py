"""Minimises a smooth function by L-BFGS (Nocedal and Wright 2006, algorithm 7.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from ponder.training.rows import Vector

Function = Callable[[Vector], tuple[float, Vector]]
"""From a point to the value and the gradient there."""

_KEPT = 10
_DECREASE = 1e-4
"""Of Armijo's condition."""
_SHORTEST = 1e-10
"""Of a step, relative to the direction's own."""


def minimise(
    function: Function, start: Vector, *, tolerance: float = 1e-4, most: int = 300
) -> Vector:
    """A point where no entry of the gradient is over `tolerance`.

    Ends early after `most` iterations, or where no step along the direction lowers the value (as
    happens at the limit of the gradient's precision).
    """
    point = start
    value, gradient = function(point)
    pairs: deque[tuple[Vector, Vector]] = deque(maxlen=_KEPT)
    for _ in range(most):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = -_inverse_hessian_times(gradient, pairs)
        found = _line_search(function, point, value, float(gradient @ direction), direction)
        if found is None:
            break
        following, value, following_gradient = found
        step, change = following - point, following_gradient - gradient
        if step @ change > 0:  # else the pair would make the approximation indefinite
            pairs.append((step, change))
        point, gradient = following, following_gradient
    return point


def _line_search(
    function: Function, point: Vector, value: float, slope: float, direction: Vector
) -> tuple[Vector, float, Vector] | None:
    """The first of ever shorter steps that lowers the value enough; None if none does."""
    length = 1.0
    while length > _SHORTEST:
        following = point + length * direction
        found, gradient = function(following)
        if found <= value + _DECREASE * length * slope:
            return following, found, gradient
        length /= 2
    return None


def _inverse_hessian_times(gradient: Vector, pairs: deque[tuple[Vector, Vector]]) -> Vector:
    """The two-loop recursion."""
    result = gradient.copy()
    removed: list[float] = []
    for step, change in reversed(pairs):
        removed.append(float(step @ result) / float(step @ change))
        result -= removed[-1] * change
    if pairs:
        step, change = pairs[-1]
        result *= (step @ change) / (change @ change)
    else:
        result /= max(float(np.linalg.norm(result)), 1.0)
    for (step, change), share in zip(pairs, reversed(removed), strict=True):
        result += (share - float(change @ result) / float(step @ change)) * step
    return result
