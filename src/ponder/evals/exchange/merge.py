"""One study that was run on several machines: their runs as one."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

from ponder.errors import UsageError
from ponder.evals.exchange.merge_checks import (
    WHICH_CANDIDATES,
    Parts,
    checked_parts,
    merged_grades,
    study_of,
)
from ponder.evals.planning import RUNNING
from ponder.evals.pool_runs import study_toml
from ponder.evals.pools import STRATEGY
from ponder.recipes import Recipe
from ponder.recipes.toml import recipe_toml
from ponder.runner import unwrapped
from ponder.store.base import CallKey, CallRecord
from ponder.store.reading import Grader, RunReader
from ponder.store.run import RunStore
from ponder.store.score_sets import AddedScores, check_same_settings
from ponder.store.study import Settings
from ponder.types import NodePath

ALL_GRADES: tuple[Grader, ...] = ("imported", "ours")
_TOGETHER = 100
"""Problems that share a transaction."""


class Merged(NamedTuple):
    """What came of it."""

    problems: int
    finished: int


async def merge_runs(
    folders: Sequence[Path], target: Path, graders: Sequence[Grader] = ALL_GRADES
) -> Merged:
    """Make one run of several, in a new folder; all of it or nothing.

    Kept are problems, call logs, traces, the grades of `graders`, added scores, and what each
    machine told of itself. Problems may overlap if they came out the same. The merged run goes on
    like any other. Raises UsageError for less than two runs or a folder in use, RecipeMismatchError
    for runs of different studies, StoreError for one problem with different contents, results or
    grades.
    """
    if len(folders) < 2:
        raise UsageError(f"merging needs at least two runs, got {len(folders)}")
    await asyncio.to_thread(_make_room, target)
    with ExitStack() as stack:
        draft = stack.enter_context(_draft(target))
        runs = [stack.enter_context(RunReader(folder)) for folder in folders]
        parts = await asyncio.to_thread(checked_parts, runs)
        await _write(parts, Path(draft) / "run", graders)
        (Path(draft) / "run").replace(target)
    return Merged(len(parts.examples), len(parts.owners))


def _draft(target: Path) -> TemporaryDirectory[str]:
    """A folder beside the target; raises UsageError, naming the target, where none can be made."""
    try:
        return TemporaryDirectory(dir=target.parent, prefix=".merge-")
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}: name another folder") from None


def _make_room(target: Path) -> None:
    """The folder's parent; raises UsageError if the folder is in use."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty: give `-o` a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)


async def _write(parts: Parts, folder: Path, graders: Sequence[Grader]) -> None:
    study = _merged_study(parts)
    host = cast("Settings", parts.runs[0].recipe()["host"])
    toml = (
        study_toml(study)
        if study.get("strategy") == STRATEGY
        else recipe_toml(Recipe.checked({"study": study, "host": host}))
    )
    with RunStore.open(folder, study=study, host=host, recipe_toml=toml) as store:
        store.add_examples(parts.examples.values())
        store.set_provenance(_provenance(parts.runs))
        names = list(parts.examples)
        for start in range(0, len(names), _TOGETHER):
            await _copy_problems(parts, store, names[start : start + _TOGETHER])
        await asyncio.to_thread(_copy_judgements, parts, store, graders)


def _merged_study(parts: Parts) -> Settings:
    """The runs' study over all their problems."""
    studies = [study_of(run) for run in parts.runs]
    study = dict(studies[0])
    if all(other == study for other in studies):
        return study
    if study.get("strategy") != STRATEGY:
        return study | {"ids": list(parts.examples), "limit": None}
    kept = {key: value for key, value in study.items() if key not in WHICH_CANDIDATES}
    content = hashlib.sha256(json.dumps(studies, sort_keys=True).encode()).hexdigest()
    names = dict.fromkeys(str(one.get("dataset")) for one in studies)
    return {**kept, "dataset": " + ".join(names), "sha256": content}


def _provenance(runs: Sequence[RunReader]) -> Settings:
    """What the first told of itself, and under `merged` what every machine did at every time."""
    told = next((run.provenance() for run in runs if run.provenance()), {})
    merged = [
        {"run": run.folder.name, "openings": [one._asdict() for one in run.openings()]}
        for run in runs
    ]
    seconds = [run.provenance().get(RUNNING) for run in runs]
    known = [own for own in seconds if isinstance(own, int | float)]
    running = {RUNNING: sum(known)} if len(known) == len(seconds) else {}
    return {**{k: v for k, v in told.items() if k != RUNNING}, **running, "merged": merged}


async def _copy_problems(parts: Parts, store: RunStore, names: Sequence[str]) -> None:
    """Call logs, then traces, of some problems."""
    async with unwrapped(), asyncio.TaskGroup() as group:
        for name in names:
            for key, record in await asyncio.to_thread(_calls, parts, name):
                store.log.put(key, record)
            if name in parts.owners:
                trace = await asyncio.to_thread(parts.owners[name].trace, name)
                group.create_task(store.finish(trace))
            else:
                store.log.forget(name, store.log.appended(name))


def _calls(parts: Parts, name: str) -> list[tuple[CallKey, CallRecord]]:
    """All recorded calls of a problem, each once.

    Those of the run that its trace is taken from come last: a key's last record counts.
    """
    owner = parts.owners.get(name, parts.runs[0])
    ordered = [*(run for run in parts.runs if run is not owner), owner]
    records = [record for run in ordered for record in run.log.records(name)]
    return [*dict.fromkeys(reversed(records))][::-1]


def _copy_judgements(parts: Parts, store: RunStore, graders: Sequence[Grader]) -> None:
    """Grades and added scores."""
    for grader in graders:
        store.set_grades(grader, merged_grades(parts.runs, grader))
    settings: dict[str, Settings] = {}
    for run in parts.runs:
        for name, given in run.score_sets().items():
            check_same_settings(name, settings.setdefault(name, given), given, run.folder)
    for name, kept in settings.items():
        scores: dict[tuple[str, NodePath], AddedScores] = {}
        for run in reversed(parts.runs):
            scores |= run.added_scores(name)
        store.open_scores(name, kept)
        store.add_scores(name, scores)
