"""`ponder compare`: methods on the same problems, with what is chance and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.compare import Method, compare
from ponder.evals.expectations import EXPECTATIONS
from ponder.evals.repeats import repeats
from ponder.report.comparison import comparison_report
from ponder.report.views import LoadedRun, loaded
from ponder.search.selection import Aggregation


def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    selector: Annotated[
        str | None, typer.Option(help="majority, best_of_n, weighted, oracle; or each run's own.")
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Samples a problem; or each run's largest N.")
    ] = None,
    score: Annotated[str | None, typer.Option(help="Rank by these scores.")] = None,
    aggregation: Annotated[
        Aggregation | None, typer.Option(help="How step scores become one.")
    ] = None,
    grades: Annotated[
        Literal["imported", "ours"] | None, typer.Option(help="Whose grades to use.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare methods in pairs, problem by problem: the difference, its interval, its p-value.

    Runs that differ by their seed alone are one method. Imported pools are runs too.

    Example: ponder compare runs/beams runs/dvts --selector weighted
    """
    if selector is not None and selector not in EXPECTATIONS:
        raise UsageError(f"unknown selector {selector!r}: use one of {', '.join(EXPECTATIONS)}")
    with working("comparing"):
        found = loaded(runs, score=score, aggregation=aggregation, grader=grades)
        compared = compare(methods_of(found, selector, n))
    if as_json:
        print_json(compared)
    else:
        output().print(comparison_report(compared))


def methods_of(
    found: Sequence[LoadedRun], selector: str | None = None, n: int | None = None
) -> list[Method]:
    """One method a group of runs that differ by their seed alone, named after its first run."""
    groups = [[found[place] for place in places] for places in repeats([r.study for r in found])]
    return [
        Method.of(
            runs[0].view.name,
            [run.measured for run in runs],
            selector or runs[0].view.selector,
            n,
        )
        for runs in groups
    ]
