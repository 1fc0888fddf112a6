"""How fast the engine is by itself: whole solutions, a fixed number at once, nothing scored."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence

from benchmarks.bound import RateCurve, tokens_between
from benchmarks.watching import WatchedEngine
from benchmarks.workload import Work
from ponder.engines.base import Engine
from ponder.runner import unwrapped
from ponder.session.calls import seed_of
from ponder.types import Prefix, Problem, Sampling

SAMPLES_A_PROBLEM = 8
"""Drawn one after the other, as plain sampling does: they share the prompt."""
ROUNDS = 3
"""Samples that are measured for each sequence that runs at once."""
LEAST = 12
"""Samples of a measurement with few sequences."""


async def read_prompts(engine: Engine, todo: Work) -> None:
    """Draw a token of each problem, so that the engine's cache holds all prompts from then on."""
    sampling = todo.recipe.study.sampling.sampling().whole().granted(1)

    async def read(problem: Problem) -> None:
        async for _ in engine.generate(Prefix.root(problem), sampling, [0]):
            pass

    async with unwrapped(), asyncio.TaskGroup() as group:
        for problem in todo.problems:
            group.create_task(read(problem))


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
    sampling = todo.recipe.study.sampling.sampling().whole()
    samples = max(rounds * sequences, min(LEAST, LEAST * rounds // ROUNDS))
    start, end = await _full_window(watched, draws(todo, sequences), sampling, sequences, samples)
    return tokens_between(watched.drawn, start, end) / (end - start)


async def _full_window(
    engine: WatchedEngine,
    draws: Iterator[tuple[Prefix, int]],
    sampling: Sampling,
    sequences: int,
    samples: int,
) -> tuple[float, float]:
    """When it started and ended: a time in which all sequences ran, and so many samples ended.

    It starts when as many samples as sequences have ended, so that the others are under way. To
    the end of each that ran in it, whose tokens are known then, others start in the place of those
    that end; they are cancelled.
    """
    running = sequences
    whole = asyncio.Event()

    async def draw_on() -> None:
        nonlocal running
        counted = True
        for prefix, seed in draws:
            async for _ in engine.generate(prefix, sampling, [seed]):
                pass
            if counted and len(engine.drawn) >= sequences + samples:
                counted = False
                running -= 1
                if not running:
                    whole.set()
            if whole.is_set():
                return

    async with unwrapped(), asyncio.TaskGroup() as group:
        tasks = [group.create_task(draw_on()) for _ in range(sequences)]
        await whole.wait()
        for task in tasks:
            task.cancel()
    return engine.drawn[sequences - 1].end, engine.drawn[sequences + samples - 1].end


def draws(todo: Work, run: int) -> Iterator[tuple[Prefix, int]]:
    """Prefixes and seeds; other seeds for each `run`."""
    for turn in itertools.count():
        for problem in todo.problems:
            for index in range(SAMPLES_A_PROBLEM):
                seed = seed_of(todo.recipe.study.seed + run, problem.id, (turn, index))
                yield Prefix.root(problem), seed
