"""One way to spend, at each n that it was measured at: what it solves, and for how many tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from ponder.evals.mixture import mixture


class Solved(NamedTuple):
    """What one way to spend gets right, problem by problem."""

    values: Mapping[str, float]
    """Expected accuracy by problem id."""
    tokens: Mapping[str, float | None]
    """Generated tokens by problem id; None: not told."""

    @property
    def mean_tokens(self) -> float | None:
        """Of a problem; None when any is not told."""
        told = [count for count in self.tokens.values() if count is not None]
        return fmean(told) if told and len(told) == len(self.tokens) else None


class Rung(NamedTuple):
    """One way to spend at one cost."""

    n: float
    """Between two sizes both are mixed."""
    solved: Solved
    tokens: float
    """Generated, mean of a problem."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """One way to spend, at rising n."""

    name: str
    sizes: tuple[int, ...]
    solved: Callable[[int], Solved]
    """At a size; with `every` at any whole n between the first and the last one."""
    every: bool = False
    """All whole n between the sizes can be had too, as of samples."""

    def has(self, n: int) -> bool:
        """It can be had at this n."""
        return n in self.sizes or (self.every and self.sizes[0] < n < self.sizes[-1])

    @property
    def told(self) -> bool:
        """All sizes tell their tokens: without that there are no rungs."""
        return all(self.solved(n).mean_tokens is not None for n in self.sizes)

    def at(self, n: int) -> Rung:
        """The way at this n."""
        solved = self.solved(n)
        tokens = solved.mean_tokens
        assert tokens is not None
        return Rung(n, solved, tokens)

    def at_tokens(self, tokens: float) -> Rung | None:
        """The way at this mean of tokens, two n mixed; None where no two n lie around it."""
        costs = [self.at(n).tokens for n in self.sizes]
        mixed = mixture(tokens, costs, self.sizes, every=self.every)
        if mixed is None:
            return None
        fewer, more = self.solved(mixed.fewer), self.solved(mixed.more)
        counts = mixed.of(_told(fewer), _told(more))
        return Rung(mixed.n, Solved(mixed.of(fewer.values, more.values), dict(counts)), tokens)

    def nearest(self, tokens: float) -> Rung:
        """The size that costs nearest to this mean of tokens."""
        return min((self.at(n) for n in self.sizes), key=lambda rung: abs(rung.tokens - tokens))

    def around(self, n: int) -> Ladder:
        """The same with one size below `n`, `n`, and one above."""
        place = self.sizes.index(n)
        return Ladder(self.name, self.sizes[max(place - 1, 0) : place + 2], self.solved, self.every)


def _told(solved: Solved) -> dict[str, float]:
    return {name: count for name, count in solved.tokens.items() if count is not None}
