"""`ponder import` and `ponder export`: candidates from elsewhere, and for elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.answers.registry import answer_kind
from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.exchange.exports import ExportFormat, default_name, export_rows
from ponder.evals.exchange.files import check_writable, write_rows
from ponder.evals.exchange.sources import Choices, Format, Source, read_source
from ponder.evals.pool_runs import keep_source


def import_(
    format: Annotated[Format, typer.Argument(help="What it is: pool or sal.")],
    file: Annotated[Path, typer.Argument(help="Candidates: .jsonl, .jsonl.gz, .json, .parquet.")],
    folder: Annotated[Path | None, typer.Option("-o", help="The run directory.")] = None,
    answer: Annotated[str, typer.Option(help="What an answer is: math, choice or text.")] = "math",
    approach: Annotated[
        Literal["best_of_n", "beam_search", "dvts"] | None,
        typer.Option(help="How sal's completions came about; by default as the file is named."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was imported.")] = False,
) -> None:
    """Keep candidates from elsewhere as a run, for `ponder report` and all that reads runs.

    Example: ponder import sal best_of_n_completions.jsonl -o runs/published
    """
    if folder is None:
        raise UsageError("no run directory: give `-o RUN`")
    with working("reading answers"):
        source = read_source(format, file, Choices(approach))
        count = asyncio.run(_keep(source, folder, answer))
    if as_json:
        print_json({"problems": count, "run": str(folder)})
    else:
        output().print(f"{count} problems into {folder}", markup=False, soft_wrap=True)


async def _keep(source: Source, folder: Path, answer: str) -> int:
    answers = answer_kind(answer)
    try:
        return await keep_source(source, folder, answers)
    finally:
        await asyncio.to_thread(answers.close)


def export(
    format: Annotated[ExportFormat, typer.Argument(help="What to write: pool or sal.")],
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    file: Annotated[
        Path | None,
        typer.Option("-o", help="The suffix is the format; by default a .jsonl file in RUN."),
    ] = None,
    score: Annotated[str | None, typer.Option(help="The scores to rank by.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was exported.")] = False,
) -> None:
    """Write a run's candidates, with scores, grades and token counts.

    Example: ponder export pool runs/sample -o candidates.parquet
    """
    target = file or run / default_name(run, format)
    check_writable(target)
    with working("writing"):
        rows = export_rows(run, format, score)
        write_rows(target, rows)
    if as_json:
        print_json({"problems": len(rows), format: str(target)})
    else:
        output().print(f"{len(rows)} problems into {target}", markup=False, soft_wrap=True)
