"""`ponder grade`: a file of pairs, or the candidates of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.graded_rows import GradedRows, grade_rows
from ponder.evals.grading import Grader
from ponder.evals.run_grading import Graded, grade_run
from ponder.evals.study import reopened


def grade(
    target: Annotated[Path, typer.Argument(help="A JSONL file of gold and pred, or a run.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every row, then a summary.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="The longest that one pair may take.")] = 5.0,
) -> None:
    """Grade answers: pairs by mathematical equality, a run by its own answer kind.

    Example: ponder grade answers.jsonl --json
    """
    if not target.exists():
        raise UsageError(f"{target} is neither a file nor a run directory")
    if target.is_dir():
        with working("grading"):
            run = asyncio.run(_grade_run(target, seconds))
        _show(run, as_json=as_json)
        return
    with working("grading"):
        graded = asyncio.run(_grade_rows(target, seconds))
    if as_json:
        for line in graded.lines():
            typer.echo(line)
        return
    summary = graded.summary
    output().print(
        f"{summary['correct']:g} of {summary['rows']:g} rows are equal, "
        f"{summary['failed']:g} could not be decided, {summary['seconds']:g} s"
    )


async def _grade_rows(path: Path, seconds: float) -> GradedRows:
    async with Grader(seconds=seconds) as grader:
        return await grade_rows(path, grader)


async def _grade_run(folder: Path, seconds: float) -> Graded:
    with reopened(folder) as store:
        async with Grader(seconds=seconds) as grader:
            return await grade_run(store, grader)


def _show(run: Graded, *, as_json: bool) -> None:
    if as_json:
        counts = {"candidates": run.candidates, "correct": run.right}
        print_json({"summary": {**counts, "failed": run.failed.total()}})
        return
    output().print(f"{run.right} of {run.candidates} candidates are right", markup=False)
    if run.failed:
        output().print(run.failures, markup=False, soft_wrap=True)
