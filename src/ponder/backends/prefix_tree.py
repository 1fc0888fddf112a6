"""Token sequences of one problem that share their beginnings: each distinct token is computed once.

A verifier reads many solutions of one problem that begin alike. Here every distinct token, with all
that stands before it, has one slot; a model computes the slots that are new, all at once, each
seeing only its own path (a tree mask), and keeps their keys and values in slot order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")
Outputs = NDArray[np.float32]
"""What a model gives for each token: [tokens, width]."""


class Growth(NamedTuple):
    """The tokens that are new in a tree, in slot order."""

    first: int
    """Slot of the first one; the keys and values of all slots below are there."""
    token_ids: NDArray[np.int64]
    """[new]"""
    positions: NDArray[np.int64]
    """[new] How many tokens stand before each one on its path."""
    sees: NDArray[np.bool_]
    """[new, first + new] Whether a token attends to a slot: its own path, itself included."""


class TreeModel(Protocol[State]):
    """A model that extends prefix trees; it is called from one thread at a time."""

    bytes_a_token: int
    """What a slot's keys and values take."""
    longest: int
    """The most tokens on one path."""

    def new_state(self) -> State:
        """The keys and values of an empty tree; they are freed with the last reference."""
        ...

    def extend(self, trees: Sequence[tuple[State, Growth]]) -> list[Outputs]:
        """Compute each tree's new tokens and no pads, in one pass if it can, and keep their state.

        Raises MemoryError where the pass is too large. The states of a pass that raised are not
        used again.
        """
        ...


class PrefixTree:
    """The distinct tokens of one problem's sequences, numbered in order of arrival."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._token_ids: list[int] = []
        self._parents: list[int] = []
        self._computed = 0

    def __len__(self) -> int:
        return len(self._token_ids)

    @property
    def computed(self) -> int:
        """How many slots growths have told of: those below it."""
        return self._computed

    def add(self, token_ids: Sequence[int]) -> list[int]:
        """The slot of each token on this path; those not seen before get the next ones."""
        path: list[int] = []
        slot = -1
        for token_id in token_ids:
            new = len(self._token_ids)
            parent, slot = slot, self._slots.setdefault(_child(slot, token_id), new)
            if slot == new:
                self._token_ids.append(token_id)
                self._parents.append(parent)
            path.append(slot)
        return path

    def new(self, token_ids: Sequence[int]) -> int:
        """How many slots `add` would make."""
        slot = -1
        for known, token_id in enumerate(token_ids):
            found = self._slots.get(_child(slot, token_id))
            if found is None:
                return len(token_ids) - known
            slot = found
        return 0

    def names(self) -> NDArray[np.int64]:
        """[slots] A number for each slot: equal paths have equal ones in all trees."""
        names: list[int] = []
        for parent, token_id in zip(self._parents, self._token_ids, strict=True):
            names.append(hash((names[parent] if parent >= 0 else 0, token_id)))
        return np.array(names, dtype=np.int64)

    def growth(self, most: int | None = None) -> Growth:
        """What was added since the last growth, or the first `most` tokens of it.

        Slots are in order of arrival, so a token never comes before the one that it follows.
        """
        first, end = self._computed, len(self)
        if most is not None:
            end = min(end, first + most)
        sees = np.zeros((end - first, end), dtype=np.bool_)
        positions = np.zeros(end - first, dtype=np.int64)
        for row, parent in enumerate(self._parents[first:end]):
            if parent >= first:
                sees[row] = sees[parent - first]
                positions[row] = positions[parent - first] + 1
            else:
                path = self._path(parent)
                sees[row, path] = True
                positions[row] = len(path)
            sees[row, first + row] = True
        self._computed = end
        return Growth(first, np.array(self._token_ids[first:end], dtype=np.int64), positions, sees)

    def _path(self, slot: int) -> list[int]:
        path: list[int] = []
        while slot >= 0:
            path.append(slot)
            slot = self._parents[slot]
        return path


def _child(slot: int, token_id: int) -> int:
    """One number for a token after a slot, or after none (-1): a third of a tuple's memory."""
    return (slot + 1) << 32 | token_id


def path_names(token_ids: Sequence[int]) -> NDArray[np.int64]:
    """[tokens] What `PrefixTree.names` calls the slots of this path."""
    alone = PrefixTree()
    alone.add(token_ids)
    return alone.names()
