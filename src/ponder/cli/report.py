"""`ponder report`: tables on the terminal, JSON, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.terminal import output, print_json
from ponder.evals.summary import join, summarise
from ponder.report.page import write_page
from ponder.report.table import method_table, run_report, warning_lines
from ponder.report.view import method_row
from ponder.report.views import LoadedRun, loaded
from ponder.search.selection import Aggregation


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("-o", "--html", help="The page; by default report.html in RUN.")
    ] = None,
    score: Annotated[str | None, typer.Option(help="Rank by these scores.")] = None,
    aggregation: Annotated[
        Aggregation | None, typer.Option(help="How step scores become one.")
    ] = None,
    grades: Annotated[
        Literal["imported", "ours"] | None, typer.Option(help="Whose grades to use.")
    ] = None,
) -> None:
    """Show accuracy against N with intervals, and write a page with every search.

    Example: ponder report runs/sample runs/beams -o comparison.html
    """
    found = loaded(runs, score=score, aggregation=aggregation, grader=grades)
    page = html or runs[0] / "report.html"
    if as_json:
        print_json(numbers_of(found))
        if html is None:
            return
    write_page(page, ", ".join(run.view.name for run in found), [run.view for run in found])
    if not as_json:
        show_tables(found)
        output().print(str(page), markup=False, soft_wrap=True)


def present(folders: Sequence[Path], *, as_json: bool) -> None:
    """What a finished run shows: its tables, or its numbers."""
    found = loaded(folders)
    for folder, run in zip(folders, found, strict=True):
        write_page(folder / "report.html", run.view.name, [run.view])
    if as_json:
        print_json(numbers_of(found))
    else:
        show_tables(found)


def numbers_of(found: Sequence[LoadedRun]) -> object:
    """The report of one run, or of several joined."""
    if len(found) == 1:
        return summarise(found[0].measured)
    return join([run.measured for run in found])


def show_tables(found: Sequence[LoadedRun]) -> None:
    """One run's curves, or several runs side by side."""
    console = output()
    if len(found) == 1:
        console.print(run_report(found[0].view))
        return
    console.print(method_table([method_row(run.view) for run in found]))
    console.print(warning_lines([run.view for run in found]))
