"""Candidates from elsewhere, kept as a run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from ponder.answers.base import AnswerKind
from ponder.errors import RecipeMismatchError
from ponder.evals.exchange.sources import Source, read_source
from ponder.evals.grading import Grader
from ponder.evals.grading_kinds import check_gradable
from ponder.evals.pool_import import import_pool
from ponder.evals.pools import STRATEGY, PoolProblem
from ponder.evals.run_grading import grade_run
from ponder.runner import unwrapped
from ponder.store.run import RunStore
from ponder.store.study import Settings

_TOGETHER = 100
"""Problems that share a transaction."""
IMPORTING = "importing"
"""In the provenance of a run whose import has not ended: how many problems there will be."""


async def keep_pool(file: Path, folder: Path, answers: AnswerKind) -> int:
    """Keep a candidate pool as a run; see `keep_source`."""
    return await keep_source(await asyncio.to_thread(read_source, "pool", file), folder, answers)


async def keep_source(source: Source, folder: Path, answers: AnswerKind) -> int:
    """Keep candidates as a run; returns the number of their problems.

    Candidates are graded where imported grades are missing. The same candidates may be imported
    again; others into the same folder are refused. What cannot be graded is refused before anything
    is written: raises what `check_gradable` does.
    """
    missing = any(one.correct is None for problem in source.problems for one in problem.candidates)
    if missing:
        check_gradable(answers)
    study: dict[str, object] = {**source.study, "answer": answers.name}

    def check(kept: Settings) -> None:
        _check_kept(kept, study, folder)

    toml = study_toml(study)
    with RunStore.open(folder, study=study, host={}, recipe_toml=toml, check=check) as store:
        told = {"ponder": version("ponder"), **source.provenance}
        store.set_provenance({**told, IMPORTING: len(source.problems)})
        for start in range(0, len(source.problems), _TOGETHER):
            await _keep(store, source.problems[start : start + _TOGETHER], answers)
        store.set_provenance(told)
        if missing:
            async with Grader() as grader:
                await grade_run(store, grader)
    return len(source.problems)


def _check_kept(kept: Settings, study: Settings, folder: Path) -> None:
    """Raise RecipeMismatchError where the folder holds no import, or one of another file."""
    if kept.get("strategy") != STRATEGY:
        raise RecipeMismatchError(
            f"{folder} holds a run of `ponder run`: give `-o` another folder for the import"
        )
    if "sha256" in kept and kept["sha256"] != study.get("sha256"):
        before, now = kept.get("dataset"), study.get("dataset")
        why = f"{now} has changed since" if before == now else f"not those of {now}"
        raise RecipeMismatchError(
            f"{folder} holds the candidates of {before}, {why}: give `-o` another folder"
        )


async def _keep(store: RunStore, problems: Sequence[PoolProblem], answers: AnswerKind) -> None:
    """Import problems and commit them together, none without its grades."""
    imported = await import_pool(problems, answers)
    store.add_examples([one.example for one in imported])
    grades = {
        (one.trace.problem_id, path): right
        for one in imported
        for path, right in one.grades.items()
    }
    store.set_grades("imported", grades)
    async with unwrapped(), asyncio.TaskGroup() as group:
        for one in imported:
            group.create_task(store.finish(one.trace))


def study_toml(study: Mapping[str, object]) -> str:
    """The `recipe.toml` of a run that was imported: what it holds."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in study.items()]
    return "\n".join(["[study]", *lines, ""])
