"""One problem's tree of prefixes with what a model keeps and gave for it, and a way through it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic

import numpy as np

from ponder.backends.prefix_tree import Growth, Outputs, PrefixTree, State, path_names
from ponder.types import Problem

ROOM: Final = 1.25
"""How many rows a tree gets room for when its outputs grow, as a multiple of what it needs."""


def bytes_a_row(width: int) -> int:
    """What a token's outputs take in a tree, room to grow included."""
    return int(ROOM * width * np.dtype(np.float32).itemsize)


class ProblemTree(Generic[State]):
    """The tokens that have keys and values, and the count of all that were ever added."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        """Of the problem: one that was first read earlier has a lower one."""
        self.held = PrefixTree()
        """Replaced by an empty one when the tree leaves the cache."""
        self.state: State | None = None
        """The model's keys and values of `held`; None before its first growth."""
        self.under_way = 0
        """Readings that need `held` as it is."""
        self.used = 0
        """When it was last read: a higher number is later."""
        self._left = np.zeros(0, dtype=np.int64)
        self._again = 0
        self._outputs: Outputs | None = None

    @property
    def distinct(self) -> int:
        """Nodes over all sequences ever added."""
        return len(self._left) + len(self.held) - self._again

    def add(self, token_ids: Sequence[int]) -> list[int]:
        """The slot of each token in `held`."""
        before = len(self.held)
        path = self.held.add(token_ids)
        new = len(self.held) - before
        if new and len(self._left):
            names = path_names(token_ids)[-new:]
            self._again += int(np.isin(names, self._left).sum())
        return path

    def keep(self, growth: Growth, outputs: Outputs) -> None:
        """Store what the model gave for new tokens; raises ValueError unless it is a row each."""
        new = len(growth.token_ids)
        if outputs.ndim != 2 or len(outputs) != new:
            raise ValueError(f"the model gave outputs of shape {outputs.shape} for {new} tokens")
        end = growth.first + new
        if self._outputs is None or end > len(self._outputs):
            room = np.empty((int(end * ROOM), outputs.shape[1]), dtype=np.float32)
            if self._outputs is not None:
                room[: growth.first] = self._outputs[: growth.first]
            self._outputs = room
        self._outputs[growth.first : end] = outputs

    def along(self, path: Sequence[int]) -> Outputs:
        """The outputs of computed slots, in the path's order."""
        assert self._outputs is not None, "a path of computed slots has outputs"
        return self._outputs[np.array(path, dtype=np.int64)]

    def drop(self) -> None:
        """Leave the cache: keys, values and outputs go, names for counting stay."""
        self._left, self._again = np.union1d(self._left, self.held.names()), 0
        self.held, self.state, self._outputs = PrefixTree(), None, None
        self.under_way = 0


@dataclass(slots=True, eq=False)
class Reading(Generic[State]):
    """One sequence of tokens on its way through the passes.

    It is admitted to the tree as it stands; when that is dropped, it has to be admitted again.
    """

    problem: Problem
    """Referred to, so that the tree stays with it."""
    tree: ProblemTree[State]
    token_ids: Sequence[int]
    """At least one."""
    take: Callable[[Outputs], None]
    """Given the outputs [tokens, width] once; it keeps what the caller needs of them, not them."""
    finished: bool = False
    """`take` has been called."""
    _path: list[int] = field(default_factory=list)
    _within: PrefixTree | None = None

    @property
    def admitted(self) -> bool:
        """Its tokens have slots."""
        return self._within is self.tree.held

    @property
    def end(self) -> int:
        """How many slots the tree must have computed; a path's last slot is its highest."""
        return self._path[-1] + 1

    @property
    def computed(self) -> int:
        """How many of its tokens have keys and values."""
        if not self.admitted:
            return 0
        return bisect_left(self._path, self.tree.held.computed)

    def admit(self) -> None:
        """Take slots."""
        self._path = self.tree.add(self.token_ids)
        self._within = self.tree.held
        self.tree.under_way += 1

    def finish(self) -> bool:
        """Give the outputs to `take` and leave the tree, if all tokens are computed.

        Raises what `take` does, and MemoryError where there is no room for the outputs.
        """
        if not self.admitted or self.end > self.tree.held.computed:
            return False
        self.take(self.tree.along(self._path))
        self.finished = True
        self.leave()
        return True

    def leave(self) -> None:
        """The tree need not stay for it any longer."""
        if self.admitted:
            self.tree.under_way -= 1
            self._within = None
