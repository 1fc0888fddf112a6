"""`ponder report`: tables on the terminal, JSON, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.figures import Across, across_of, subjects_of
from ponder.cli.methods import note_problems
from ponder.cli.options import AsJson, HowAggregated, Price, Runs, Score, WhoseGrades
from ponder.cli.terminal import announce, output, print_json, working
from ponder.cli.words import prices_of, whole_numbers
from ponder.errors import UsageError
from ponder.evals.refinement import changes
from ponder.evals.repeats import seed_spreads
from ponder.evals.summary import join, summarise
from ponder.report.escape import visible
from ponder.report.page import write_page
from ponder.report.parts import By
from ponder.report.parts_table import beside_curves, part_table
from ponder.report.plots.writing import write_figures
from ponder.report.table import (
    level_lines,
    method_table,
    repeat_lines,
    run_report,
    warning_lines,
)
from ponder.report.view import method_row
from ponder.report.views import LoadedRun, loaded
from ponder.strategies.self_refine import SelfRefine


def report(
    runs: Runs,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("-o", "--html", help="The page; by default report.html in RUN.")
    ] = None,
    score: Score = None,
    aggregation: HowAggregated = None,
    grades: WhoseGrades = None,
    n: Annotated[str | None, typer.Option(help="Only these N: 3,6.")] = None,
    by: Annotated[By | None, typer.Option(help="A table of each apart.")] = None,
    price: Price = None,
    figures: Annotated[
        Path | None, typer.Option(help="Write figures for papers, SVG and PNG, to this folder.")
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(help="Across the figures: LABEL=ACCURACY, LABEL=RUN or RUN (a greedy one)."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Draw the choices of this file of `ponder fit` too.")
    ] = None,
) -> None:
    """Show accuracy against N with intervals, what it cost, and write a page with every search.

    Price kinds: prompt, cached, generated, verifier.

    Example: ponder report runs/sample runs/beams -o comparison.html
    Example: ponder report runs/sample runs/beams --figures figures --line "3B greedy=0.42"
    """
    if figures is None and policy:
        raise UsageError("`--policy` is drawn in figures: give `--figures DIR` too")
    options = {"score": score, "aggregation": aggregation, "grader": grades}
    prices = prices_of(price or ())
    with working("reading"):
        found = loaded(runs, **options, prices=prices, sizes=whole_numbers(n, "--n"))
        across = across_of(line or ())
    note_problems([*found, *across.runs])
    if figures is not None:
        _write_figures(figures, found, across, policy)
    page = html or runs[0] / "report.html"
    if as_json:
        print_json(numbers_of(found))
        if html is None:
            return
    views = [run.view for run in (*found, *across.runs)]
    write_page(page, ", ".join(run.view.name for run in found), views, levels=across.levels)
    if not as_json:
        show_tables(found, by=by)
        output().print(level_lines([run.view for run in across.runs], across.levels))
        output().print(str(page), markup=False, soft_wrap=True)


def _write_figures(
    folder: Path, found: Sequence[LoadedRun], across: Across, policy: Path | None
) -> None:
    """Write the figures, and say on standard error what was and what was not drawn."""
    subjects = subjects_of(found, across, policy)
    with working("drawing"):
        written = write_figures(folder, subjects)
    for note in written.notes:
        announce(visible(note))
    removed = f", {written.removed} of an earlier call removed" if written.removed else ""
    announce(f"{len(written.paths)} files in {folder}{removed}")


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
    """The report of one run, or of several joined; of a refined run also what refining changed."""
    if len(found) == 1:
        return {**summarise(found[0].measured), **_refined(found[0])}
    joined = join([run.measured for run in found], [run.study for run in found])
    names = [run.view.name for run in found]
    runs = [{"name": name, **own} for name, own in zip(names, joined["runs"], strict=True)]
    return {**joined, "runs": runs}


def _refined(run: LoadedRun) -> dict[str, object]:
    if run.view.strategy != SelfRefine.name:
        return {}
    return {"refinement": changes(run.view.traces, run.view.grades)._asdict()}


def _refined_line(run: LoadedRun) -> str:
    counted = changes(run.view.traces, run.view.grades)
    return (
        f"{run.view.name}: {counted.refinements} refinements; {counted.right_to_wrong} made a "
        f"right answer wrong, {counted.wrong_to_right} a wrong one right"
    )


def show_tables(found: Sequence[LoadedRun], title: str = "", by: By | None = None) -> None:
    """One run's curves and what they cost, or several runs side by side."""
    console = output()
    if len(found) == 1:
        console.print(run_report(found[0].view))
        console.print(beside_curves(found[0].view))
    else:
        console.print(method_table([method_row(run.view) for run in found], title))
        console.print(warning_lines([run.view for run in found]))
        groups = seed_spreads([run.measured for run in found], [run.study for run in found])
        console.print(repeat_lines(groups, [run.view for run in found]))
    if by is not None:
        console.print(part_table([run.view for run in found], by))
    for run in found:
        if run.view.strategy == SelfRefine.name:
            console.print(_refined_line(run), markup=False, soft_wrap=True)
