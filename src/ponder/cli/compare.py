"""`ponder compare`: methods on the same problems, with what is chance and what is not."""

from __future__ import annotations

from typing import Annotated

import typer

from ponder.cli.methods import asked_of, chosen_runs, methods_of
from ponder.cli.options import AsJson, HowAggregated, Price, Runs, WhoseGrades
from ponder.cli.terminal import output, print_json, working
from ponder.cli.words import prices_of
from ponder.evals.compare import Method, compare
from ponder.evals.cost_curves import cost_curves
from ponder.evals.costs import Axis
from ponder.evals.matched import at_equal_cost
from ponder.report.comparison import comparison_report, equal_cost_report


def compare_runs(
    runs: Runs,
    selector: Annotated[
        list[str] | None,
        typer.Option(help="majority, best_of_n, weighted, oracle; or each run's own."),
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Samples a problem; or each run's largest N.")
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="Rank by these scores; or each run's own.")
    ] = None,
    aggregation: HowAggregated = None,
    grades: WhoseGrades = None,
    axis: Annotated[
        Axis | None, typer.Option(help="Compare at equal cost too, on this axis.")
    ] = None,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods in pairs, problem by problem: the difference, its interval, its p-value.

    Runs that differ by their seed alone are one method. Imported pools are runs too. RUN,
    --selector and --score hold for all methods when given once, else one after the other.
    Price kinds: prompt, cached, generated, verifier.

    Example: ponder compare runs/beams runs/dvts --selector weighted --axis total_tokens
    Example: ponder compare runs/sample --score head --selector weighted --selector majority
    """
    asked = asked_of(runs, selector or (), score or ())
    options = {"aggregation": aggregation, "grader": grades, "prices": prices_of(price or ())}
    with working("comparing"):
        methods = methods_of(chosen_runs(asked, options))
        compared = compare([Method.of(own.name, own.selector, own.runs, n) for own in methods])
        equal = at_equal_cost(cost_curves(methods, axis), axis) if axis else None
    if as_json:
        print_json(compared if equal is None else {**compared, "equal_cost": equal})
        return
    output().print(comparison_report(compared))
    if equal is not None:
        output().print(equal_cost_report(equal))
