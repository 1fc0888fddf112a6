"""A model of trees whose outputs tell the path of each token, and searches to read with it."""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.backends.prefix_tree import Growth, Outputs

PRIME = 16_777_213
"""Below 2**24, so that float32 holds every remainder exactly."""


@dataclass(eq=False)
class Slots:
    """What a slot's keys and values are here: its token and position."""

    token_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


class PathTrees:
    """Each token's outputs are hashes of all that it sees: any wrong mask or position shows."""

    bytes_a_token = 16

    def __init__(self, longest: int = 4096) -> None:
        self.longest = longest
        self.passes: list[list[Growth]] = []
        self.fails: list[Exception] = []
        """Raised by the next passes, one each."""
        self.most = 10**9
        """Tokens; a larger pass is out of memory."""
        self.room = 10**9
        """Tokens that may have keys and values at once, over all trees."""
        self._states: weakref.WeakSet[Slots] = weakref.WeakSet()

    def new_state(self) -> Slots:
        state = Slots()
        self._states.add(state)
        return state

    def extend(self, trees: Sequence[tuple[Slots, Growth]]) -> list[Outputs]:
        self.passes.append([growth for _, growth in trees])
        if self.fails:
            raise self.fails.pop(0)
        new = sum(len(growth.token_ids) for _, growth in trees)
        if new > self.most:
            raise MemoryError("a pass is too large")
        if sum(len(state.token_ids) for state in self._states) + new > self.room:
            raise MemoryError("the keys and values are too many")
        return [_extend(slots, growth) for slots, growth in trees]

    @property
    def computed(self) -> int:
        return sum(len(growth.token_ids) for growths in self.passes for growth in growths)


def _extend(slots: Slots, growth: Growth) -> Outputs:
    assert growth.first == len(slots.token_ids), "keys and values are missing, or there twice"
    slots.token_ids += growth.token_ids.tolist()
    slots.positions += growth.positions.tolist()
    hashes = _hashes(slots.positions, slots.token_ids)
    sums = growth.sees.astype(np.float64) @ hashes.astype(np.float64)
    return _outputs(sums.astype(np.int64))


def _hashes(positions: Sequence[int], token_ids: Sequence[int]) -> NDArray[np.int64]:
    """Two numbers [tokens, 2] for a token at a position; a path's are summed."""
    mixed = (
        np.array(positions, dtype=np.int64) * 7919 + np.array(token_ids, dtype=np.int64) * 104729
    )
    return np.stack([mixed * mixed % 999_983, mixed * (mixed + 12_345) % 1_299_709], axis=1)


def _outputs(sums: NDArray[np.int64]) -> Outputs:
    return (sums % PRIME).astype(np.float32)


def expected(sequence: Sequence[int]) -> Outputs:
    """The outputs of a sequence that is read alone."""
    return _outputs(np.cumsum(_hashes(range(len(sequence)), sequence), axis=0))


def beam_rounds(
    seed: int, depth: int, n: int = 16, kept: int = 4, step: int = 20, vocabulary: int = 300
) -> Iterator[list[list[int]]]:
    """The sequences that a beam search asks for at each depth: `n`, grown from `kept` of the last.

    A question of 40 to 80 tokens; steps of about `step` tokens.
    """
    choices = random.Random(seed)
    question = [choices.randrange(vocabulary) for _ in range(choices.randrange(40, 80))]
    beams = [question]
    for _ in range(depth):
        grown = [
            beams[index % len(beams)]
            + [choices.randrange(vocabulary) for _ in range(choices.randrange(step - 8, step + 8))]
            for index in range(n)
        ]
        yield grown
        beams = choices.sample(grown, kept)


def distinct_tokens(sequences: Iterable[Sequence[int]]) -> int:
    """Nodes of the prefix tree, as nested dictionaries."""
    root: dict[int, Any] = {}
    nodes = 0
    for sequence in sequences:
        node = root
        for token_id in sequence:
            nodes += token_id not in node
            node = node.setdefault(token_id, {})
    return nodes
