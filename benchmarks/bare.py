"""How fast the engine is by itself: whole solutions, a fixed number at once, nothing scored."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence

from benchmarks.bound import RateCurve, steady_seconds
from benchmarks.watching import WatchedEngine
from benchmarks.workload import Work
from ponder.engines.base import Engine
from ponder.session.calls import seed_of
from ponder.types import Prefix, Sampling

SAMPLES_A_PROBLEM = 8
"""Drawn one after the other, as plain sampling does: they share the prompt."""
ROUNDS = 3
"""Samples for each sequence that runs at once."""
LEAST = 12
"""Samples of a measurement with few sequences."""


async def rate_curve(engine: Engine, todo: Work, slots: int, *, rounds: int = ROUNDS) -> RateCurve:
    """Tokens a second at 1, 2, 4, ... `slots` sequences at once."""
    counts = [2**power for power in range(slots.bit_length()) if 2**power < slots] + [slots]
    return await rates_at(engine, todo, counts, rounds=rounds)


async def rates_at(
    engine: Engine, todo: Work, counts: Sequence[int], *, rounds: int = ROUNDS
) -> RateCurve:
    """Tokens a second at so many sequences at once each."""
    return RateCurve(tuple([(count, await _rate(engine, todo, count, rounds)) for count in counts]))


async def _rate(engine: Engine, todo: Work, sequences: int, rounds: int) -> float:
    """Tokens a second with so many sequences running: as one ends, the next one starts."""
    watched = WatchedEngine(engine)
    samples = max(rounds * sequences, min(LEAST, LEAST * rounds // ROUNDS))
    draws = itertools.islice(_draws(todo, sequences), samples)
    sampling = todo.recipe.study.sampling.sampling().whole()
    async with asyncio.TaskGroup() as group:
        for _ in range(sequences):
            group.create_task(_draw(watched, draws, sampling))
    tokens, seconds = steady_seconds(watched.drawn)
    return tokens / seconds


async def _draw(
    engine: WatchedEngine, draws: Iterator[tuple[Prefix, int]], sampling: Sampling
) -> None:
    """One sequence after the other."""
    for prefix, seed in draws:
        async for _ in engine.generate(prefix, sampling, [seed]):
            pass


def _draws(todo: Work, run: int) -> Iterator[tuple[Prefix, int]]:
    """Prefixes and seeds; other seeds for each `run`."""
    for turn in itertools.count():
        for problem in todo.problems:
            for index in range(SAMPLES_A_PROBLEM):
                seed = seed_of(todo.recipe.study.seed + run, problem.id, (turn, index))
                yield Prefix.root(problem), seed
