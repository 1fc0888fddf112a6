"""`ponder run --plan`: what a run will take, before it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ponder.cli.terminal import output, print_json
from ponder.errors import UsageError
from ponder.evals.costs import Costing
from ponder.evals.planning import Outlook, at_most, outlook, pace_of
from ponder.evals.study import Plan, data_of
from ponder.recipes.registry import strategy_of
from ponder.report.planning import bound_line, outlook_report
from ponder.store.reading import RunReader
from ponder.store.study import differences, plain
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


_DECIDES_COST = ("strategy", "n", "knobs", "sampling", "budget", "model", "prompt")
"""Settings that say what a problem takes: an earlier run tells nothing of one that has others."""


def _outlook(plan: Plan, size: int, earlier: Path | None) -> Outlook:
    with RunReader(earlier or plan.folder) as reader:
        if earlier is not None:
            there = cast("Mapping[str, Any]", reader.recipe()["study"])
            _check_like(earlier, there, plan.recipe.study.model_dump())
        known, told = list(reader.traces()), reader.provenance()
    study, host = plan.recipe.study, plan.recipe.host
    pace = pace_of(told, known)
    known = [trace for trace in known if trace.n == study.n]  # of a smaller n it is all to be done
    return outlook(
        str(plan.folder),
        size,
        _bound(plan, size),
        known=known,
        own=earlier is None,
        costing=Costing.of(study.model_dump(), host.model_dump(), told, {}),
        pace=pace,
    )


def _check_like(earlier: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise UsageError, naming what differs, unless the earlier run tells what this one takes."""
    kept, asked = (
        {key: study[key] for key in _DECIDES_COST if key in study} for study in (there, here)
    )
    if differing := differences(plain(kept), plain(asked)):
        raise UsageError(
            f"{earlier} does not tell what this run takes: {'; '.join(differing)}; name a run of "
            "the same method, or give --plan alone for a pilot"
        )
