"""Token sequences of one problem that share their beginnings: each distinct token is computed once.

A verifier reads many solutions of one problem that begin alike. Here every distinct token, with all
that stands before it, has one slot; a model computes the slots that are new, all at once, each
seeing only its own path (a tree mask), and keeps their keys and values in slot order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")
Reduced = TypeVar("Reduced")
"""What a caller keeps of a sequence's outputs."""
Outputs = NDArray[np.float32]
"""What a model gives for each token: [tokens, width]."""


class Run(NamedTuple):
    """New tokens of which each follows the one before it."""

    start: int
    """Among the new tokens."""
    stop: int
    before: NDArray[np.int64]
    """The slots on the path to the first one, in order."""


class Sight(NamedTuple):
    """What some new tokens attend to."""

    slots: NDArray[np.int64]
    """In ascending order: those that any of the tokens sees."""
    sees: NDArray[np.bool_]
    """[tokens, slots]"""


@dataclass(frozen=True, slots=True)
class Growth:
    """The tokens that are new in a tree, in slot order."""

    first: int
    """Slot of the first one; the keys and values of all slots below are there."""
    token_ids: NDArray[np.int64]
    """[new]"""
    positions: NDArray[np.int64]
    """[new] How many tokens stand before each one on its path."""
    runs: tuple[Run, ...]
    """The new tokens, cut where one does not follow the one before it."""

    @property
    def sees(self) -> NDArray[np.bool_]:
        """[new, first + new] Whether a token attends to a slot: its own path, itself included."""
        new = len(self.token_ids)
        slots, sees = self.sight(0, new)
        every = np.zeros((new, self.first + new), dtype=np.bool_)
        every[:, slots] = sees
        return every

    def sight(self, start: int, stop: int) -> Sight:
        """The same for the new tokens from `start` to `stop`, without slots that none sees."""
        runs = [run for run in self.runs if run.start < stop and run.stop > start]
        own = [np.arange(self.first + run.start, self.first + min(run.stop, stop)) for run in runs]
        seen = [*(run.before for run in runs), *own]
        slots = np.unique(np.concatenate(seen)) if seen else np.zeros(0, dtype=np.int64)
        sees = np.zeros((stop - start, len(slots)), dtype=np.bool_)
        for run, follow in zip(runs, own, strict=True):
            rows = slice(max(run.start, start) - start, min(run.stop, stop) - start)
            sees[rows, np.searchsorted(slots, run.before)] = True
            # Slots that follow one another are neighbours here too, since all of them are seen.
            place, known = np.searchsorted(slots, follow[0]), max(start - run.start, 0)
            mask = np.tri(rows.stop - rows.start, len(follow), known, dtype=np.bool_)
            sees[rows, place : place + len(follow)] = mask
        return Sight(slots, sees)


class TreeModel(Protocol[State]):
    """A model that extends prefix trees; it is called from one thread at a time."""

    bytes_a_token: int
    """What a slot's keys and values take, room to grow included."""
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
        # The key is parent + 1 and token in one number: a third of the memory of a tuple.
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
            child = (slot + 1) << 32 | token_id
            found = self._slots.get(child)
            if found is None:
                found = self._slots[child] = len(self._token_ids)
                self._token_ids.append(token_id)
                self._parents.append(slot)
            path.append(found)
            slot = found
        return path

    def new(self, token_ids: Sequence[int]) -> int:
        """How many slots `add` would make."""
        slot = -1
        for known, token_id in enumerate(token_ids):
            found = self._slots.get((slot + 1) << 32 | token_id)
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
        runs = tuple(self._runs(first, end))
        depths = [
            np.arange(len(run.before), len(run.before) + run.stop - run.start) for run in runs
        ]
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *depths])
        self._computed = end
        return Growth(first, np.array(self._token_ids[first:end], dtype=np.int64), positions, runs)

    def _runs(self, first: int, end: int) -> Iterator[Run]:
        parents = np.array(self._parents[first:end], dtype=np.int64)
        follows = parents == np.arange(first - 1, end - 1)
        follows[:1] = False
        for start, stop in pairwise([*np.flatnonzero(~follows).tolist(), end - first]):
            before = np.array(self._path(self._parents[first + start]), dtype=np.int64)
            yield Run(start, stop, before)

    def _path(self, slot: int) -> list[int]:
        path: list[int] = []
        while slot >= 0:
            path.append(slot)
            slot = self._parents[slot]
        return path[::-1]


def path_names(token_ids: Sequence[int]) -> NDArray[np.int64]:
    """[tokens] What `PrefixTree.names` calls the slots of this path."""
    alone = PrefixTree()
    alone.add(token_ids)
    return alone.names()
