"""`ponder label`: Monte-Carlo labels for the steps of a run's solutions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ponder.answers.registry import answer_kind
from ponder.cli.terminal import announce, errors, interruptible, output, print_json, working
from ponder.errors import PonderError, UsageError
from ponder.evals.grading import Grader
from ponder.evals.grading_kinds import grading_of
from ponder.recipes import Recipe
from ponder.report.counting import CountingProgress
from ponder.runner import opened
from ponder.store.reading import RunReader
from ponder.training.graded_runs import GradedRun, read_graded
from ponder.training.label_formats import Format, Known, write_labels
from ponder.training.label_log import LabelLog
from ponder.training.rollouts import Labelled, Labeller


def label(
    run: Annotated[Path, typer.Argument(help="A graded run directory.")],
    file: Annotated[Path | None, typer.Option("-o", help="The labels, JSON lines.")] = None,
    completions: Annotated[int, typer.Option("-k", help="Completions from each step.", min=1)] = 8,
    problems: Annotated[int | None, typer.Option(help="Only the first N problems.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the completions.")] = 0,
    format_: Annotated[
        Format, typer.Option("--format", help="ponder: shares; trl: TRL's stepwise supervision.")
    ] = "ponder",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was labelled.")] = False,
) -> None:
    """Label each step of a run's solutions by how many completions from there end right.

    The run's own engine and sampling draw them; steps that solutions share are labelled once. The
    same command goes on where it stopped, and writes another format without drawing again.

    Example: ponder label runs/sample -k 8 -o labels.jsonl
    """
    if file is None:
        raise UsageError("no file for the labels: give `-o LABELS.jsonl`")
    recipe = _recipe(run)
    with working("reading"):
        graded = read_graded(run, problems)
    done, known = interruptible(lambda stop: _label(graded, recipe, completions, seed, stop))
    written = write_labels(file, graded, known, format_)
    _check_labelled(run, done)
    if as_json:
        counts = {"steps": done.steps, "kept": done.kept, "added": done.added}
        failures = {"failed": done.failed, "ungraded": done.ungraded}
        print_json({**counts, **failures, "solutions": written, "labels": str(file)})
    else:
        failed = f", {done.failed} failed" if done.failed else ""
        failed += f", {done.ungraded} completions could not be graded" if done.ungraded else ""
        why = f": {done.reason}" if failed else ""
        line = f"{done.steps} steps, {done.kept} labelled before{failed}{why}"
        output().print(f"{line}; {written} solutions into {file}", markup=False, soft_wrap=True)


def _recipe(run: Path) -> Recipe:
    with RunReader(run) as reader:
        content = reader.recipe()
    study = content["study"]
    if isinstance(study, dict) and study.get("strategy") == "pool":
        raise UsageError(f"{run} is an imported pool: it names no engine to draw completions with")
    return Recipe.checked(content, str(run))


async def _label(
    run: GradedRun, recipe: Recipe, completions: int, seed: int, stop: asyncio.Event
) -> tuple[Labelled, Known]:
    answers = answer_kind(recipe.study.answer)
    sampling = recipe.study.sampling.sampling()
    try:
        async with (
            opened(recipe, announce) as (engine, slots),
            Grader() as grader,
            grading_of(answers, grader) as grading,
        ):
            identity = engine.capabilities.identity
            with (
                LabelLog(run.folder, completions, seed, identity) as log,
                CountingProgress(errors(), run.folder.name, "steps") as watch,
            ):
                labeller = Labeller(engine, slots, sampling, answers, grading, log, watch, stop)
                return await labeller.label(run), log.known
    finally:
        await asyncio.to_thread(answers.close)


def _check_labelled(run: Path, done: Labelled) -> None:
    """Fail if the labelling was stopped before its end, or if nothing could be labelled."""
    if done.left:
        ready = done.steps - done.left
        raise PonderError(
            f"{run}: {ready} of {done.steps} steps are labelled; the same command goes on"
        )
    if done.failed and not done.added and not done.kept:
        raise PonderError(f"{run}: no step could be labelled: {done.reason}")
