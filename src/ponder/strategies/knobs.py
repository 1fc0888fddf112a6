"""Checks of knobs that several strategies have."""

from __future__ import annotations

from ponder.errors import UsageError
from ponder.strategies.base import Most
from ponder.types import Sampling


def at_least_one(strategy: object, *knobs: str) -> None:
    """Raise UsageError naming the first of the knobs that is no whole number or below 1."""
    for knob in knobs:
        value = getattr(strategy, knob)
        if not isinstance(value, int):
            raise UsageError(f"`{knob}` must be a whole number, got {value!r}")
        if value < 1:
            raise UsageError(f"`{knob}` must be at least 1, got {value}")


def by_steps(sampling: Sampling) -> None:
    """Raise UsageError for sampling that no separator divides into steps."""
    if sampling.separator is None:
        raise UsageError("`sampling.separator` must be a string: the search goes by steps")


def most_by_steps(n: int, iterations: int, sampling: Sampling, completions: int = 0) -> Most:
    """Of a search that draws `n` steps an iteration, the last of them to the end of the solution.

    Each earlier step has at least one token, which is then not left; `completions` are solutions
    that are drawn to their end after that.
    """
    left = [max(sampling.max_tokens - before, 0) for before in range(iterations)]
    steps = sum(min(sampling.limit, tokens) for tokens in left[:-1])
    return Most(
        n * iterations + completions,
        n * (steps + left[-1]) + completions * sampling.max_tokens,
    )
