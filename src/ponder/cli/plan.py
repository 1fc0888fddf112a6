"""`ponder run --plan`: what a run will take, before it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ponder.cli.terminal import output, print_json
from ponder.evals.costs import Costing
from ponder.evals.planning import Outlook, at_most, outlook, pace_of
from ponder.evals.study import Plan, data_of
from ponder.recipes.registry import strategy_of
from ponder.report.planning import bound_line, outlook_report
from ponder.store.reading import RunReader
from ponder.strategies.base import Most


def show_plan(
    planned: Sequence[Plan],
    earlier: Path | None,
    pilot: Callable[[], None],
    *,
    as_json: bool,
) -> None:
    """Print the bound of each run; then its estimate, from `earlier` or from a pilot."""
    sizes = [len(data_of(plan.recipe.study).examples) for plan in planned]
    for plan, size in zip(planned, sizes, strict=True):
        if not as_json:
            output().print(bound_line(plan.folder.name, size, _bound(plan, size)))
    if earlier is None:
        pilot()
    found = [_outlook(plan, size, earlier) for plan, size in zip(planned, sizes, strict=True)]
    if as_json:
        print_json(found[0] if len(found) == 1 else found)
    else:
        output().print(outlook_report(found))


def _bound(plan: Plan, size: int) -> Most | None:
    study = plan.recipe.study
    return at_most(strategy_of(study), size, study.budgets())


def _outlook(plan: Plan, size: int, earlier: Path | None) -> Outlook:
    with RunReader(earlier or plan.folder) as reader:
        known, told = list(reader.traces()), reader.provenance()
    study, host = plan.recipe.study, plan.recipe.host
    return outlook(
        str(plan.folder),
        size,
        _bound(plan, size),
        known=known,
        own=earlier is None,
        costing=Costing.of(study.model_dump(), host.model_dump(), told, {}),
        pace=pace_of(told, known),
    )
