"""How long a verifier takes for a run's own calls by itself: an estimate."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.workload import again
from ponder.runner import unwrapped
from ponder.types import Prefix, Problem
from ponder.verifiers.base import Verifier

Call = tuple[Problem, Sequence[Prefix]]
"""What a verifier was asked at once."""


async def seconds_alone(
    verifier: Verifier, asked: Sequence[Call], strategy: str, at_once: int
) -> float:
    """How long the verifier takes for the same calls, so many problems at once, from nothing.

    Calls that wait for nothing run side by side. It is an estimate: all calls are known from the
    start, and no drawing sets their pace. Raises the verifier's error.
    """
    problems: defaultdict[str, list[Call]] = defaultdict(list)
    for call in asked:
        problems[call[0].id].append(call)
    turn = asyncio.Semaphore(at_once)

    async def score(fresh: Problem, line: Sequence[Call]) -> None:
        for _, prefixes in line:
            await verifier.score(fresh, [again(prefix, fresh) for prefix in prefixes])

    async def solve(calls: Sequence[Call]) -> None:
        fresh = replace(calls[0][0])
        async with turn, asyncio.TaskGroup() as group:
            for line in lines(calls, strategy):
                group.create_task(score(fresh, line))

    start = time.perf_counter()
    async with unwrapped(), asyncio.TaskGroup() as group:
        for calls in problems.values():
            group.create_task(solve(calls))
    return time.perf_counter() - start


def lines(calls: Sequence[Call], strategy: str) -> list[list[Call]]:
    """A problem's calls, those together that wait for each other.

    No sample waits for another; a beam search scores all its beams before it goes on; a subtree of
    DVTS waits for its own siblings, which begin with one of its first steps. Siblings that were
    scored in several calls, as they ended, are taken one call after another.
    """
    if strategy == "sample":
        return [[call] for call in calls]
    if strategy != "dvts":
        return [list(calls)]
    by_first_step: dict[bytes, list[Call]] = {}
    found: list[list[Call]] = []
    for call in calls:
        keys = [_first_step(prefix) for prefix in call[1]]
        line = next((by_first_step[key] for key in keys if key in by_first_step), None)
        if line is None:
            found.append(line := [])
        line.append(call)
        by_first_step.update(dict.fromkeys(keys, line))
    return found


def _first_step(prefix: Prefix) -> bytes:
    """Its key."""
    while prefix.depth > 1 and prefix.parent is not None:
        prefix = prefix.parent
    return prefix.key
