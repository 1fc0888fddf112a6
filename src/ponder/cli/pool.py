"""`ponder import` and `ponder export`: candidates from elsewhere, and for elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.answers.registry import answer_kind
from ponder.cli.options import RunFolder
from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.exchange.exports import ExportFormat, default_name, export_rows
from ponder.evals.exchange.files import check_writable, write_rows
from ponder.evals.exchange.hub import push
from ponder.evals.exchange.sources import Choices, Format, Source, read_source
from ponder.evals.pool_runs import keep_source


def import_(
    format: Annotated[
        Format, typer.Argument(help="What it is: pool, sal, lm-eval (samples), inspect (a log).")
    ],
    source: Annotated[str, typer.Argument(help="A file, or the hub's ORG/NAME.")],
    folder: RunFolder = None,
    answer: Annotated[
        str | None,
        typer.Option(
            help="What an answer is: math, choice, text, exact, reasoning-gym or module:function; "
            "by default choice where every problem has choices, else math."
        ),
    ] = None,
    approach: Annotated[
        Literal["best_of_n", "beam_search", "dvts"] | None,
        typer.Option(help="How sal's completions came about; by default as the file is named."),
    ] = None,
    grades: Annotated[
        str | None,
        typer.Option(help="Of several, whose: lm-eval's filter or Inspect's scorer."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Whose problems they are: tells, by id, what rows leave out of them."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub's: branch, tag, commit.")] = None,
    config: Annotated[str | None, typer.Option(help="Of the hub's, where it has several.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the hub's, where it has several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was imported.")] = False,
) -> None:
    """Keep candidates from elsewhere as a run, for `ponder report` and all that reads runs.

    Example: ponder import sal best_of_n_completions.jsonl -o runs/published
    """
    if folder is None:
        raise UsageError("no run directory: give `-o RUN`")
    with working("reading answers"):
        choices = Choices(approach, grades, revision, config, split, dataset)
        count = asyncio.run(_keep(read_source(format, source, choices), folder, answer))
    if as_json:
        print_json({"problems": count, "run": str(folder)})
    else:
        output().print(f"{count} problems into {folder}", markup=False, soft_wrap=True)


async def _keep(source: Source, folder: Path, answer: str | None) -> int:
    answers = answer_kind(answer or source.answer)
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
    problems: Annotated[
        bool, typer.Option(help="Questions and references, or in a pool ids alone.")
    ] = True,
    hub: Annotated[
        str | None, typer.Option(help="Push to this data set, ORG/NAME, instead of a file.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="The branch to push to, made if there is none.")
    ] = None,
    private: Annotated[bool, typer.Option(help="A new data set is private.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was exported.")] = False,
) -> None:
    """Write a run's candidates, with scores, grades and token counts.

    Example: ponder export pool runs/sample -o candidates.parquet
    """
    if hub is not None and file is not None:
        raise UsageError("give `-o FILE` or `--hub ORG/NAME`, not both")
    if hub is None and revision is not None:
        raise UsageError(f"--revision {revision} is of the hub's: add `--hub ORG/NAME`")
    if hub is None and private:
        raise UsageError("--private is for the hub: add `--hub ORG/NAME`")
    if format == "sal" and not problems:
        raise UsageError("sal's rows have questions: leave --no-problems out, or export a pool")
    if hub is not None:
        rows = export_rows(run, format, score, problems=problems)
        target = push(rows, hub, revision=revision, private=private)
    else:
        target = str(file or run / default_name(run, format))
        check_writable(Path(target))
        with working("writing"):
            rows = export_rows(run, format, score, problems=problems)
            write_rows(Path(target), rows)
    if as_json:
        print_json({"problems": len(rows), format: target})
    else:
        output().print(f"{len(rows)} problems into {target}", markup=False, soft_wrap=True)
