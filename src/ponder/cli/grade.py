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
from ponder.evals.study import grade_run, reopened


def grade(
    target: Annotated[Path, typer.Argument(help="A JSONL file of gold and pred, or a run.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every row, then a summary.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="The longest that one pair may take.")] = 5.0,
) -> None:
    """Grade answers by mathematical equality, within limits of time and memory.

    Example: ponder grade answers.jsonl --json
    """
    if not target.exists():
        raise UsageError(f"{target} is neither a file nor a run directory")
    if target.is_dir():
        with working("grading"):
            right, total = asyncio.run(_grade_run(target, seconds))
        if as_json:
            print_json({"summary": {"candidates": total, "correct": right}})
        else:
            output().print(f"{right} of {total} candidates are right", markup=False)
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


async def _grade_run(folder: Path, seconds: float) -> tuple[int, int]:
    with reopened(folder) as store:
        async with Grader(seconds=seconds) as grader:
            await grade_run(store, grader)
        grades = store.grades("ours").values()
    return sum(grades), len(grades)
