"""`ponder compare`: methods on the same problems, with what is chance and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ponder.cli.options import AsJson, HowAggregated, Price, Runs, Score, WhoseGrades
from ponder.cli.terminal import output, print_json, working
from ponder.cli.words import prices_of
from ponder.errors import UsageError
from ponder.evals.compare import Method, compare
from ponder.evals.cost_curves import Named, cost_curves
from ponder.evals.costs import Axis
from ponder.evals.expectations import EXPECTATIONS
from ponder.evals.matched import at_equal_cost
from ponder.evals.repeats import repeats
from ponder.report.comparison import comparison_report, equal_cost_report
from ponder.report.views import LoadedRun, loaded


def compare_runs(
    runs: Runs,
    selector: Annotated[
        str | None, typer.Option(help="majority, best_of_n, weighted, oracle; or each run's own.")
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Samples a problem; or each run's largest N.")
    ] = None,
    score: Score = None,
    aggregation: HowAggregated = None,
    grades: WhoseGrades = None,
    axis: Annotated[
        Axis | None, typer.Option(help="Compare at equal cost too, on this axis.")
    ] = None,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods in pairs, problem by problem: the difference, its interval, its p-value.

    Runs that differ by their seed alone are one method. Imported pools are runs too.
    Price kinds: prompt, cached, generated, verifier.

    Example: ponder compare runs/beams runs/dvts --selector weighted --axis total_tokens
    """
    if selector is not None and selector not in EXPECTATIONS:
        raise UsageError(f"unknown selector {selector!r}: use one of {', '.join(EXPECTATIONS)}")
    options = {"score": score, "aggregation": aggregation, "grader": grades}
    prices = prices_of(price or ())
    with working("comparing"):
        methods = methods_of(loaded(runs, **options, prices=prices), selector)
        compared = compare([Method.of(own.name, own.selector, own.runs, n) for own in methods])
        equal = at_equal_cost(cost_curves(methods, axis), axis) if axis else None
    if as_json:
        print_json(compared if equal is None else {**compared, "equal_cost": equal})
        return
    output().print(comparison_report(compared))
    if equal is not None:
        output().print(equal_cost_report(equal))


def methods_of(found: Sequence[LoadedRun], selector: str | None = None) -> list[Named]:
    """One method a group of runs that differ by their seed alone, named after its first run."""
    groups = [[found[place] for place in places] for places in repeats([r.study for r in found])]
    return [
        Named(
            runs[0].view.name,
            selector or runs[0].view.selector,
            [run.measured for run in runs],
        )
        for runs in groups
    ]
