"""Keys and values of prefix trees, and how the new tokens of a pass attend to them.

A pass holds the new tokens of many trees side by side, without pads. Queries are cut into blocks,
each with the slots that any of its queries sees, so that dead branches cost nothing and neither
masks nor scores outgrow a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ponder.backends.prefix_tree import Growth, Sight

if TYPE_CHECKING:
    from torch import Tensor, device

ROWS = 256
"""Queries that share one gathering of keys; neighbours are mostly of one branch."""
SCORES = 1 << 25
"""The most attention scores, over all heads, that are made at once."""
GROWING = 1.25
"""How much larger than needed keys and values may be, so that growing rarely copies."""


class TreeState:
    """Keys and values of one tree: for each layer [heads, slots, width], with room to grow."""

    def __init__(self) -> None:
        self.positions = np.zeros(0, dtype=np.int64)
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}

    @property
    def bytes(self) -> int:
        """What all layers take, room to grow included."""
        held = (*self._keys.values(), *self._values.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    @property
    def bytes_a_slot(self) -> int:
        """What a slot takes in all layers."""
        held = (*self._keys.values(), *self._values.values())
        return sum(tensor[:, :1].numel() * tensor.element_size() for tensor in held)

    def put(self, layer: int, first: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write a layer's new keys and values [heads, new, width] from slot `first` on.

        Returns those of all slots, new ones included.
        """
        end = first + keys.shape[1]
        for held, new in ((self._keys, keys), (self._values, values)):
            held[layer] = _with_room(held.get(layer), first, new)
            held[layer][:, first:end] = new
        return self._keys[layer][:, :end], self._values[layer][:, :end]


def _with_room(held: Tensor | None, first: int, new: Tensor) -> Tensor:
    end = first + new.shape[1]
    if held is not None and end <= held.shape[1]:
        return held
    slots = end if held is None else max(end, int(held.shape[1] * GROWING))
    room = new.new_empty((new.shape[0], slots, new.shape[2]))
    if held is not None:
        room[:, :first] = held[:, :first]
    return room


class Block(NamedTuple):
    """Queries that are computed together."""

    tree: int
    rows: slice
    """In the pass."""
    slots: Tensor | None
    """Those that any of the queries sees; None: all."""
    mask: Tensor
    """[queries, slots] 0 or -inf, to be added to the scores."""


class TreePass:
    """The new tokens of some trees, side by side, and which slots each one attends to."""

    def __init__(self, trees: Sequence[tuple[TreeState, Growth]]) -> None:
        self.trees: list[tuple[TreeState, Growth, slice]] = []
        """Each with its rows of the pass."""
        end = 0
        for state, growth in trees:
            start, end = end, end + len(growth.token_ids)
            self.trees.append((state, growth, slice(start, end)))
            known = state.positions[: growth.first]
            state.positions = np.concatenate([known, growth.positions])
        self._blocks: dict[tuple[object, ...], list[Block]] = {}

    def blocks(self, query: Tensor, window: int | None) -> list[Block]:
        """How queries [heads, new, width] are computed; the same for all layers of one window."""
        key = (window, query.device, query.dtype, query.shape[0])
        if key not in self._blocks:
            self._blocks[key] = [
                block for tree in range(len(self.trees)) for block in self._cut(tree, query, window)
            ]
        return self._blocks[key]

    def _cut(self, tree: int, query: Tensor, window: int | None) -> Iterator[Block]:
        state, growth, taken = self.trees[tree]
        new = len(growth.token_ids)
        for first in range(0, new, ROWS):
            slots, sees = growth.sight(first, min(first + ROWS, new))
            if window is not None:
                behind = growth.positions[first : first + ROWS, None] - state.positions[slots]
                slots, sees = _seen(slots, sees & (behind < window))
            gathered = None if len(slots) == growth.first + new else _to(slots, query.device)
            together = max(SCORES // (query.shape[0] * len(slots)), 1)
            for row in range(0, len(sees), together):
                part = sees[row : row + together]
                start = taken.start + first + row
                yield Block(tree, slice(start, start + len(part)), gathered, _added(part, query))


def _seen(slots: NDArray[np.int64], sees: NDArray[np.bool_]) -> Sight:
    """Without the slots that no token sees any more."""
    kept = sees.any(axis=0)
    return Sight(slots[kept], sees[:, kept])


def _to(indices: NDArray[np.int64], device: device) -> Tensor:
    import torch

    return torch.from_numpy(indices).to(device)


def _added(sees: NDArray[np.bool_], query: Tensor) -> Tensor:
    import torch

    mask = torch.zeros(sees.shape, dtype=query.dtype, device=query.device)
    return mask.masked_fill_(~torch.from_numpy(sees).to(query.device), float("-inf"))
