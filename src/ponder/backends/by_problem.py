"""What is kept of a problem for as long as its object is there."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from ponder.types import Problem

Kept = TypeVar("Kept")


class ByProblem(Generic[Kept]):
    """A value for each problem object, made when it is first asked for, and gone with the object.

    Two problems that are equal have a value each: the end of one takes nothing from the other.
    `of` may be called from any thread.
    """

    def __init__(self, make: Callable[[], Kept]) -> None:
        self._make = make
        self._kept: dict[int, Kept] = {}

    def of(self, problem: Problem) -> Kept:
        """The value of this very object."""
        key = id(problem)
        found = self._kept.get(key)
        if found is None:
            found = self._kept.setdefault(key, self._make())
            weakref.finalize(problem, self._kept.pop, key, None).atexit = False
        return found

    def values(self) -> list[Kept]:
        """Those that there are now."""
        return list(self._kept.values())
