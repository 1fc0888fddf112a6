"""How many tokens of a prompt the key-value cache already holds, by the cache's own rule.

OpenVINO GenAI does not tell what it read from its cache, so the rule is kept here in step with
it: whole blocks are found by all that precedes them, and the partly filled last block of a
sequence is found only by a prompt that goes on exactly where the sequence stopped. The count is
exact for samples of two tokens and more until the cache is first full, and a close estimate
otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

BLOCK = 32
"""Tokens of a block on the CPU."""


def block_keys(ids: Sequence[int]) -> list[int]:
    """A key for each whole block of `ids`, equal only where all tokens up to its end are."""
    keys: list[int] = []
    key = 0
    for end in range(BLOCK, len(ids) + 1, BLOCK):
        key = hash((key, tuple(ids[end - BLOCK : end])))
        keys.append(key)
    return keys


class _Found(NamedTuple):
    """What the cache holds of a prompt."""

    tokens: int
    blocks: list[int]
    """Keys of whole blocks."""
    tail: int | None
    """Key of a partly filled last block."""


class PrefixLedger:
    """The blocks in the cache, least recently used first."""

    def __init__(self, blocks: int) -> None:
        self._capacity = blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._changed: set[int] = set()

    def cached(self, ids: Sequence[int]) -> int:
        """Tokens of the prompt `ids` that need no computing; at least one always does."""
        return self._find(ids).tokens

    def use(self, ids: Sequence[int]) -> int:
        """The same, for a sample that starts now.

        A last block that it goes on from changes with the next step: see `step`.
        """
        found = self._find(ids)
        for key in found.blocks:
            self._blocks.move_to_end(key)
        if found.tail is not None:
            self._changed.add(found.tail)
        return found.tokens

    def record(self, ids: Sequence[int], going_on: bool = False) -> None:
        """Note that all of `ids` are in the cache.

        A sequence that is `going_on` fills its last block further with the next step.
        """
        keys = block_keys(ids)
        rest = tuple(ids[len(keys) * BLOCK :])
        tail = hash((keys[-1] if keys else 0, rest))
        for key in [*keys, tail] if rest else keys:
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        if rest and going_on:
            self._changed.add(tail)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)

    def step(self) -> None:
        """The engine made a step: last blocks that sequences go on from have changed."""
        for key in self._changed:
            self._blocks.pop(key, None)
        self._changed.clear()

    def _find(self, ids: Sequence[int]) -> _Found:
        blocks: list[int] = []
        for key in block_keys(ids):
            if key not in self._blocks:
                break
            blocks.append(key)
        start, last = len(blocks) * BLOCK, blocks[-1] if blocks else 0
        for end in range(start + 1, min(start + BLOCK, len(ids) + 1)):
            tail = hash((last, tuple(ids[start:end])))
            if tail in self._blocks:
                return _Found(min(end, len(ids) - 1), blocks, tail)
        return _Found(min(start, len(ids) - 1), blocks, None)
