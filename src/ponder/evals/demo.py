"""Several methods on the same problems, in rounds, as long as the time lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.engines.base import Engine
from ponder.evals.grading import Grader
from ponder.evals.rescore import rescore
from ponder.evals.run_grading import grade_run
from ponder.evals.score_many import Scorer
from ponder.evals.study import (
    Plan,
    SharedVerifiers,
    closed,
    examples_of,
    jobs_of,
    open_store,
)
from ponder.recipes import Recipe
from ponder.runner import Job, RunObserver, opened, run
from ponder.store.run import RunStore
from ponder.types import Example
from ponder.verifiers.base import Verifier

ROUND = 12
"""Problems of a round."""
ROUNDS = 5
"""At most."""
SECONDS = 150.0
"""A round starts only if the one before says that it ends by then."""


SAMPLED = "sample"
"""The method whose samples several selectors and verifiers choose from."""
HEAD = "trained head"
"""What the scores of a trained head are called."""


@dataclass(frozen=True, slots=True)
class DemoMethod:
    """One way to spend compute, and how it is called."""

    name: str
    plan: Plan


def methods(recipe: Recipe, folder: Path) -> list[DemoMethod]:
    """The demo's methods; majority, best of N and weighted choose from the same samples."""
    variants: dict[str, dict[str, object]] = {
        "greedy": {"strategy": "sample", "n": 1, "sampling": {"temperature": 0.0}},
        SAMPLED: {"strategy": "sample"},
        "beam_search": {"strategy": "beam_search"},
        "dvts": {"strategy": "dvts"},
        "self_refine": {"strategy": "self_refine", "n": 1, "knobs": {"rounds": 2}},
    }
    return [
        DemoMethod(name, Plan(recipe.changed(study, {}), folder / name))
        for name, study in variants.items()
    ]


async def run_demo(
    demo: Sequence[DemoMethod],
    announce: Callable[[str], None],
    watch: Callable[[str, int], RunObserver],
    stop: asyncio.Event,
    clock: Callable[[], float] = time.monotonic,
    head: Verifier | None = None,
) -> int:
    """Run every method on the same problems, a round at a time; returns the number of rounds.

    A round's methods run all at once, problem by problem, so that the engine stays full. The
    independent samples are then scored by `head` too, as the set `HEAD`.
    """
    start = clock()
    rounds = list(_rounds(examples_of(demo[0].plan.recipe.study)))[:ROUNDS]
    async with AsyncExitStack() as stack:
        recipe = demo[0].plan.recipe
        engine, slots = await stack.enter_async_context(opened(recipe, announce))
        verifiers = await stack.enter_async_context(SharedVerifiers())
        stores = [stack.enter_context(open_store(method.plan)) for method in demo]
        done = 0
        for examples in rounds:
            began = clock()
            jobs = await _jobs(demo, stores, examples, engine, verifiers, watch)
            async with closed(jobs):
                await run(jobs, slots, stop)
            done += 1
            took = clock() - began
            if stop.is_set() or clock() - start + took > SECONDS:
                break
        async with Grader() as grader:
            for store in stores:
                await grade_run(store, grader)
        if head is not None and not stop.is_set():
            announce("scoring the samples by the trained head")
            sampled = next(s for m, s in zip(demo, stores, strict=True) if m.name == SAMPLED)
            await rescore(sampled, Scorer(head, stop=stop), HEAD)
    return done


def _rounds(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for first in range(0, len(examples), ROUND):
        yield examples[first : first + ROUND]


async def _jobs(
    demo: Sequence[DemoMethod],
    stores: Sequence[RunStore],
    examples: Sequence[Example],
    engine: Engine,
    verifiers: SharedVerifiers,
    watch: Callable[[str, int], RunObserver],
) -> list[Job]:
    """All methods' jobs of a round, problem by problem."""
    jobs: list[Job] = []
    for method, store in zip(demo, stores, strict=True):
        own = verifiers.of(method.plan.recipe.study)
        left = await jobs_of(method.plan, store, examples, engine, own)
        observer = watch(method.name, len(left))
        jobs += [replace(job, observer=observer) for job in left]
    place = {example.problem.id: index for index, example in enumerate(examples)}
    return sorted(jobs, key=lambda job: place[job.problem.id])
