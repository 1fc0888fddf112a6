"""The least time that an engine's own speed allows: a discrete-event replay of a run's samples."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ponder.trace import Node, Trace
from ponder.types import NodePath

Stage = tuple[int, ...]
"""Tokens of samples that may run side by side; the next stage waits for all of them."""

Chain = tuple[Stage, ...]
"""Stages, one after the other."""

WARM_UP = 0.1
"""Share of the tokens that is left out at the start."""
TAIL = 0.1
"""Share of the tokens that is left out at the end."""


class Drawn(NamedTuple):
    """One sample in time."""

    start: float
    """Seconds."""
    end: float
    tokens: int


class RateCurve(NamedTuple):
    """Tokens a second of the bare engine, by how many sequences run at once."""

    points: tuple[tuple[int, float], ...]
    """(sequences, tokens a second), sequences ascending; at least one."""

    def rate(self, sequences: int) -> float:
        """Linear between the points; beyond the last as at the last."""
        counts = [count for count, _ in self.points]
        at = bisect_left(counts, sequences)
        if at == len(counts):
            return self.points[-1][1]
        high, above = self.points[at]
        if at == 0:
            return above * sequences / high
        low, below = self.points[at - 1]
        return below + (above - below) * (sequences - low) / (high - low)

    @property
    def top(self) -> float:
        """With the most sequences."""
        return self.points[-1][1]

    def scaled(self, top: float) -> RateCurve:
        """The same shape with another top."""
        factor = top / self.top
        return RateCurve(tuple((count, rate * factor) for count, rate in self.points))


def replay(problems: Sequence[Sequence[Chain]], curve: RateCurve, slots: int) -> list[Drawn]:
    """All samples as they would run without any pause: the oldest problem's first.

    All problems wait from the start. `slots` samples run at once, each at an equal share of the
    curve's rate, and a stage starts when the last sample of the one before it in its chain ends.
    """
    waiting = _Waiting(problems)
    running: list[tuple[float, int, _Sample]] = []
    now = drawn_each = 0.0  # `drawn_each`: tokens that a sample has which ran from the start
    done: list[Drawn] = []
    number = 0
    while True:
        while len(running) < slots and (sample := waiting.next()) is not None:
            number += 1
            end = drawn_each + sample.tokens
            heapq.heappush(running, (end, number, sample._replace(start=now)))
        if not running:
            return done
        end, _, sample = running[0]
        now += (end - drawn_each) * len(running) / curve.rate(len(running))
        drawn_each = end
        heapq.heappop(running)
        done.append(Drawn(sample.start, now, sample.tokens))
        waiting.ended(sample)


class _Sample(NamedTuple):
    rank: int
    chain: int
    stage: int
    tokens: int
    start: float = 0.0


class _Waiting:
    """The samples that may start, oldest problem first, and what each end releases."""

    def __init__(self, problems: Sequence[Sequence[Chain]]) -> None:
        self._problems = problems
        self._ready: list[_Sample] = []
        self._left: dict[tuple[int, int], int] = {}
        for rank, chains in enumerate(problems):
            for index in range(len(chains)):
                self._release(rank, index, 0)

    def next(self) -> _Sample | None:
        return heapq.heappop(self._ready) if self._ready else None

    def ended(self, sample: _Sample) -> None:
        place = (sample.rank, sample.chain)
        self._left[place] -= 1
        if not self._left[place]:
            self._release(*place, sample.stage + 1)

    def _release(self, rank: int, chain: int, stage: int) -> None:
        stages = self._problems[rank][chain]
        if stage < len(stages):
            self._left[rank, chain] = len(stages[stage])
            for tokens in stages[stage]:
                heapq.heappush(self._ready, _Sample(rank, chain, stage, tokens))


def chains_of(trace: Trace, beam_width: int) -> list[Chain]:
    """What waited for what in a problem: nothing, its beams, or a subtree's siblings.

    Raises ValueError for a strategy whose waiting is not known here.
    """
    group = _groups(beam_width).get(trace.strategy)
    if group is None:
        raise ValueError(f"what {trace.strategy} waits for is not known: use sample, beam or dvts")
    stages: defaultdict[int, defaultdict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for node in trace.nodes:
        stages[group(node.path)][len(node.path)].append(node)
    return [
        tuple(tuple(max(node.tokens or 0, 1) for node in by_depth[depth]) for depth in by_depth)
        for by_depth in stages.values()
    ]


def _groups(beam_width: int) -> Mapping[str, Callable[[NodePath], int]]:
    return {
        "sample": lambda path: path[0],
        "beam_search": lambda _path: 0,
        "dvts": lambda path: path[0] // beam_width,
    }


def steady_seconds(samples: Iterable[Drawn]) -> tuple[float, float]:
    """Tokens, and the seconds they took, between the warm-up and the tail.

    A sample's tokens are spread evenly over its time. Raises ValueError when there are none.
    """
    ordered = list(samples)
    total = sum(sample.tokens for sample in ordered)
    if not total:
        raise ValueError("no token was drawn")
    first, last = WARM_UP * total, (1 - TAIL) * total
    return last - first, _time_at(ordered, last) - _time_at(ordered, first)


def tokens_between(samples: Iterable[Drawn], start: float, end: float) -> float:
    """Tokens drawn from `start` to `end`, each sample's spread evenly over its time."""
    shares = (
        (sample, max(min(sample.end, end) - max(sample.start, start), 0.0)) for sample in samples
    )
    return sum(
        sample.tokens * inside / max(sample.end - sample.start, 1e-9) for sample, inside in shares
    )


def _time_at(samples: Sequence[Drawn], tokens: float) -> float:
    """When so many tokens were drawn in all."""
    changes: defaultdict[float, float] = defaultdict(float)
    for start, end, count in samples:
        rate = count / max(end - start, 1e-9)
        changes[start] += rate
        changes[max(end, start + 1e-9)] -= rate
    drawn = rate = 0.0
    before = min(changes)
    for at in sorted(changes):
        gained = rate * (at - before)
        if drawn + gained >= tokens and rate > 0:
            return before + (tokens - drawn) / rate
        drawn, rate, before = drawn + gained, rate + changes[at], at
    return before
