"""`ponder compare`: methods on the same problems, with what is chance and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.methods import asked_of, check_reference, chosen_runs, methods_of
from ponder.cli.options import AsJson, Price, Runs, WhoseGrades
from ponder.cli.terminal import output, print_json, working
from ponder.cli.words import prices_of
from ponder.errors import UsageError
from ponder.evals.compare import Comparison, Method, compare
from ponder.evals.cost_curves import Named, cost_curves
from ponder.evals.costs import Axis
from ponder.evals.matched import at_equal_cost
from ponder.evals.within_tokens import Reference, WithinTokens, brought, spent_beside
from ponder.report.comparison import comparison_report, equal_cost_report, within_tokens_report


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
    aggregation: Annotated[
        list[str] | None,
        typer.Option(help="last, min, product, mean; or each run's own."),
    ] = None,
    grades: WhoseGrades = None,
    axis: Annotated[
        Axis | None, typer.Option(help="Compare at equal cost too, on this axis.")
    ] = None,
    price: Price = None,
    equal_tokens: Annotated[
        Path | None,
        typer.Option(help="Give samples, problem by problem, the tokens that this run spent."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods in pairs, problem by problem: the difference, its interval, its p-value.

    Runs that differ by their seed alone are one method. Imported pools are runs too. RUN,
    --selector, --score and --aggregation hold for all methods when given once, else one after the
    other.
    Price kinds: prompt, cached, generated, verifier.

    Example: ponder compare runs/beams runs/dvts --selector weighted --axis total_tokens
    Example: ponder compare runs/sample --score head --selector weighted --selector majority
    Example: ponder compare runs/dvts runs/sample --equal-tokens runs/dvts --selector weighted
    """
    if equal_tokens is not None and n is not None:
        raise UsageError(f"--n {n} and --equal-tokens {equal_tokens} exclude each other: give one")
    asked = asked_of(runs, selector or (), score or (), aggregation or ())
    options = {"grader": grades, "prices": prices_of(price or ())}
    with working("comparing"):
        chosen = chosen_runs(asked, options)
        methods = methods_of(chosen)
        reference = None if equal_tokens is None else Reference.of(equal_tokens)
        if reference is not None:
            check_reference(chosen, reference)
        compared, spent = _compared(methods, n, reference)
        equal = at_equal_cost(cost_curves(methods, axis), axis) if axis else None
    if as_json:
        beside = {"equal_tokens": spent, "equal_cost": equal}
        told = {name: found for name, found in beside.items() if found is not None}
        print_json({**compared, **told})
        return
    output().print(comparison_report(compared))
    if spent is not None:
        output().print(within_tokens_report(spent))
    if equal is not None:
        output().print(equal_cost_report(equal))


def _compared(
    methods: Sequence[Named], n: int | None, reference: Reference | None
) -> tuple[Comparison, WithinTokens | None]:
    """The methods at their N, or at what the reference spent."""
    if reference is None:
        return compare([Method.of(own.name, own.selector, own.runs, n) for own in methods]), None
    found = [brought(own, reference) for own in methods]
    return compare([own for own, _ in found]), spent_beside(reference, [row for _, row in found])
