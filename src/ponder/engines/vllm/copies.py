"""Which copy of a model draws a sample, under data parallelism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Final
from zlib import crc32

TOGETHER: Final = 32
"""Samples that a copy takes of its problems however little the others do: a batch of so few takes
an accelerator hardly longer than one sample, and a second copy would read the prefix again."""

_MOST_OF_EVEN: Final = 1.25
"""Above `TOGETHER`, how many times its even part of all samples a copy takes at most."""


class Copies:
    """Keeps a problem on one copy, whose cache holds its prefixes, while that copy has room.

    Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2018): the copies
    form a ring, a problem's identity points into it, and each sample takes the first copy from
    there on that is below the bound. So what a full copy leaves goes to one neighbour, and not
    to all. A copy is never given more than `room` samples while another runs fewer.
    """

    def __init__(self, number: int, room: int) -> None:
        """`number` of copies, each of which runs `room` samples at once."""
        self._running = [0] * number
        self._room = room

    @contextmanager
    def one(self, problem_id: str) -> Iterator[int]:
        """The number of the copy that draws one more sample of a problem, taken until the end."""
        copy = self._choice(problem_id)
        self._running[copy] += 1
        try:
            yield copy
        finally:
            self._running[copy] -= 1

    def _choice(self, problem_id: str) -> int:
        number = len(self._running)
        home = crc32(problem_id.encode()) % number
        ring = [(home + step) % number for step in range(number)]
        even = (sum(self._running) + 1) / number
        bound = min(max(TOGETHER, ceil(_MOST_OF_EVEN * even)), self._room)
        below = (copy for copy in ring if self._running[copy] < bound)
        return next(below, min(ring, key=self._running.__getitem__))
