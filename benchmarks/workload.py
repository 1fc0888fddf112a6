"""The problems, and a run of a strategy over them as `ponder run` does it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.options import Options
from benchmarks.watching import WatchedEngine, WatchedVerifier
from ponder.answers.registry import answer_kind
from ponder.cli.words import with_keys
from ponder.engines.base import Engine
from ponder.evals.datasets import load
from ponder.evals.study import Plan, method_of, open_store
from ponder.prompts import load_prompt
from ponder.recipes import Recipe
from ponder.recipes.registry import open_engine, verifier_of
from ponder.runner import Job, run
from ponder.session import Slots
from ponder.trace import Trace
from ponder.types import Prefix, Problem
from ponder.verifiers.base import Verifier

BEAM_WIDTH = 4
"""m of beam search and DVTS: the published default."""
ANSWERS = "math"
"""What an answer is."""
STRATEGIES = ("sample", "beam_search", "dvts")


@dataclass(frozen=True, slots=True)
class Work:
    """Problems and what is done to each."""

    recipe: Recipe
    problems: tuple[Problem, ...]
    """New objects, so that no verifier has a tree of them yet."""


def work(options: Options, strategy: str, n: int, limit: int, seed: int = 0) -> Work:
    """The first problems of `grade-school-report` under the shipped recipe's prompt and sampling.

    Each seed gives other samples, so that no repeat finds those of another in a cache.
    """
    recipe = recipe_of(options, strategy, n=n, limit=limit, seed=seed)
    prompt = load_prompt(recipe.study.prompt)
    asked = [example.problem for example in load(recipe.study.dataset, limit=limit)]
    return Work(recipe, tuple(replace(p, messages=prompt.render(p.question)) for p in asked))


def recipe_of(options: Options, strategy: str, **study: int) -> Recipe:
    """The shipped recipe under the options, with other values of the study."""
    named = {
        "engine": options.engine,
        "model": options.model,
        "strategy": strategy,
        "verifier": options.verifier,
        "selector": "weighted",
    }
    recipe = Recipe.shipped("grade-school").changed({**named, **study}, {"slots": options.slots})
    if strategy != "sample":
        recipe = recipe.changed({"knobs": {"beam_width": BEAM_WIDTH}}, {})
    return with_keys(recipe, options.set)


def again(prefix: Prefix, problem: Problem) -> Prefix:
    """The same steps under another problem object, of which no verifier has a tree yet."""
    root = Prefix.root(problem, prefix.messages)
    for step in prefix.steps:
        root = root.grow(step)
    return root


@dataclass(frozen=True, slots=True)
class Watched:
    """A run, and when its engine and its verifier were at work."""

    traces: tuple[Trace, ...]
    """In the order of the problems."""
    engine: WatchedEngine
    verifier: WatchedVerifier
    end: float
    """When the last trace was on the disk, so after the last score."""

    @property
    def drawing(self) -> tuple[float, float]:
        """From the first sample's start to the last one's end."""
        drawn = self.engine.drawn
        return min(sample.start for sample in drawn), max(sample.end for sample in drawn)

    @property
    def tokens(self) -> int:
        """Generated."""
        return sum(sample.tokens for sample in self.engine.drawn)

    @property
    def seconds(self) -> float:
        """From the first sample's start to the last trace."""
        return self.end - self.drawing[0]


@asynccontextmanager
async def parts(options: Options) -> AsyncIterator[tuple[Engine, Verifier]]:
    """The engine and the verifier, open for all repeats."""
    recipe = work(options, "sample", 1, 1).recipe
    engine = await open_engine(recipe, announce=lambda _line: None)
    verifier = verifier_of(options.verifier, recipe.study.verifier_knobs)
    try:
        yield engine, verifier
    finally:
        await verifier.aclose()
        await engine.aclose()


async def watched_run(todo: Work, engine: Engine, verifier: Verifier) -> Watched:
    """Run the work into a run directory of its own, which is deleted again."""
    watched_engine, watched_verifier = WatchedEngine(engine), WatchedVerifier(verifier)
    answers = answer_kind(ANSWERS)
    method = method_of(todo.recipe, watched_engine, [watched_verifier], answers)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Plan(todo.recipe, Path(folder))) as store,
    ):
        jobs = [Job(problem, method, store) for problem in todo.problems]
        await run(jobs, Slots(todo.recipe.host.slots or engine.capabilities.slots))
        end = time.perf_counter()
        traces = {trace.problem_id: trace for trace in store.traces()}
    await asyncio.to_thread(answers.close)
    in_order = tuple(traces[problem.id] for problem in todo.problems)
    return Watched(in_order, watched_engine, watched_verifier, end)
