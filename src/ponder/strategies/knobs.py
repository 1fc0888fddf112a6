"""Checks of knobs that several strategies have."""

from __future__ import annotations

from ponder.errors import UsageError
from ponder.types import Sampling


def at_least_one(strategy: object, *knobs: str) -> None:
    """Raise UsageError naming the first of the knobs that is below 1."""
    for knob in knobs:
        if getattr(strategy, knob) < 1:
            raise UsageError(f"`{knob}` must be at least 1, got {getattr(strategy, knob)}")


def by_steps(sampling: Sampling) -> None:
    """Raise UsageError for sampling that no separator divides into steps."""
    if sampling.separator is None:
        raise UsageError("`sampling.separator` must be a string: the search goes by steps")
