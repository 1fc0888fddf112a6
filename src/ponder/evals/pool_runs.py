"""Candidate pools as runs, and runs as candidate pools."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from ponder.answers.base import AnswerKind
from ponder.evals.grading import Grader
from ponder.evals.pool_export import export_problem
from ponder.evals.pool_import import ImportedProblem, import_pool
from ponder.evals.pools import PoolProblem, read_pool, write_pool
from ponder.evals.study import grade_run
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.types import NodePath

_TOGETHER = 100
"""Problems that share a transaction."""


async def keep_pool(file: Path, folder: Path, answers: AnswerKind) -> int:
    """Keep a candidate pool as a run; returns the number of its problems.

    Candidates are graded where imported grades are missing. The same pool may be imported again;
    another one into the same folder is refused.
    """
    problems = read_pool(file)
    study = await asyncio.to_thread(_study, file, answers)
    with RunStore.open(folder, study=study, host={}, recipe_toml=_toml(study)) as store:
        grades: dict[tuple[str, NodePath], bool] = {}
        missing = False
        for start in range(0, len(problems), _TOGETHER):
            for imported in await _keep(store, problems[start : start + _TOGETHER], answers):
                name = imported.trace.problem_id
                grades |= {(name, path): right for path, right in imported.grades.items()}
                missing |= len(imported.grades) < len(imported.trace.candidates)
        store.set_grades("imported", grades)
        store.set_provenance({"ponder": version("ponder"), "pool": file.name})
        if missing:
            async with Grader() as grader:
                await grade_run(store, grader)
    return len(problems)


async def _keep(
    store: RunStore, problems: Sequence[PoolProblem], answers: AnswerKind
) -> tuple[ImportedProblem, ...]:
    """Import problems and commit them together."""
    imported = await import_pool(problems, answers)
    store.add_examples([one.example for one in imported])
    async with asyncio.TaskGroup() as group:
        for one in imported:
            group.create_task(store.finish(one.trace))
    return imported


def _study(file: Path, answers: AnswerKind) -> dict[str, object]:
    """What names an imported pool: its file by content."""
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    named = {"strategy": "pool", "dataset": file.name, "sha256": content}
    return {**named, "answer": answers.name}


def _toml(study: dict[str, object]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in study.items()]
    return "\n".join(["[study]", *lines, ""])


def export_pool(folder: Path, file: Path, score: str | None) -> int:
    """Write a run's candidates as a pool; returns the number of problems."""
    with RunReader(folder) as reader:
        examples = {example.problem.id: example for example in reader.examples()}
        imported, ours = reader.grades("imported"), reader.grades("ours")
        grades = imported or ours
        by_problem: dict[str, dict[NodePath, bool]] = {}
        for (name, path), right in grades.items():
            by_problem.setdefault(name, {})[path] = right
        infos = reader.provenance().get("verifiers")
        named = infos[0]["name"] if isinstance(infos, list) and infos else None
        problems = [
            export_problem(
                examples[trace.problem_id],
                trace,
                by_problem.get(trace.problem_id, {}),
                ranking=score or named,
            )
            for trace in reader.scored_traces()
        ]
    write_pool(file, problems)
    return len(problems)
