"""What remote scoring cost, told by the server, beside the least that its cache allows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ponder.backends.by_problem import ByProblem
from ponder.types import Problem, Usage

Bill = Callable[[Usage], None]
"""Is told what a request cost, once it is answered."""


class SentPrompts:
    """The token sequences of one problem that a server has been sent.

    They are kept sorted: then no other shares more with a new one than its two neighbours do. One
    that another begins with is dropped, since it tells nothing more.
    """

    def __init__(self) -> None:
        self._sorted: list[tuple[int, ...]] = []

    def add(self, token_ids: tuple[int, ...]) -> int:
        """Keep `token_ids`; how many of its first tokens an earlier sequence began with."""
        at = bisect_left(self._sorted, token_ids)
        below, above = self._sorted[max(at - 1, 0) : at], self._sorted[at : at + 1]
        shared = max((_shared(token_ids, other) for other in below + above), default=0)
        if above and _shared(token_ids, above[0]) == len(token_ids):
            return shared
        extends = bool(below) and _shared(token_ids, below[0]) == len(below[0])
        self._sorted[at - extends : at] = [token_ids]
        return shared


@dataclass(slots=True)
class RemoteCounts:
    """Tokens of all requests that were answered, over all problems."""

    block_size: int = 16
    """Tokens that the server's cache keeps or forgets together; vLLM's default on a GPU."""
    requests: int = 0
    prompt: int = 0
    """Tokens sent, each request's in full."""
    cached: int | None = 0
    """Of these, tokens that the server read from its cache; None once it did not tell."""
    distinct: int = 0
    """Nodes of the prefix tree over the tokens sent, summed over problems."""
    floor: int = 0
    """What a cache of whole blocks has to compute at least, requests in the order of their answers;
    a server computes the last token of every prompt."""
    _sent: ByProblem[SentPrompts] = field(default_factory=lambda: ByProblem(SentPrompts))

    @property
    def computed(self) -> int | None:
        """Tokens that the server computed; None when it did not tell."""
        return None if self.cached is None else self.prompt - self.cached

    @property
    def ratio(self) -> float | None:
        """Computed over distinct; None when not told, or nothing was sent."""
        computed = self.computed
        return None if computed is None or not self.distinct else computed / self.distinct

    @property
    def least_ratio(self) -> float | None:
        """The floor over distinct; None when nothing was sent."""
        return self.floor / self.distinct if self.distinct else None

    def answered(self, problem: Problem, token_ids: Sequence[int], usage: Usage) -> None:
        """Note a request, and what the server told of it."""
        self.requests += 1
        self.prompt += len(token_ids)
        known, told = self.cached, usage.cached
        self.cached = None if known is None or told is None else known + told
        shared = self._sent.of(problem).add(tuple(token_ids))
        self.distinct += len(token_ids) - shared
        whole_blocks = min(shared, len(token_ids) - 1) // self.block_size
        self.floor += len(token_ids) - whole_blocks * self.block_size


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Length of their common beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
