"""Tables beside a run's curves: what each N cost, levels and subjects, a DVTS by subtrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.report.escape import visible
from ponder.report.parts import By, part_rows
from ponder.report.table import headed
from ponder.report.view import SELECTOR_LABELS, CostPoint, Part, RunView, Summary
from ponder.report.wording import count, interval, share

_COSTS = ("samples", "generated", "all tokens", "FLOPs", "seconds", "money")

_TIES = (
    "Subtrees are taken in random order, so a tie of k counts 1/k; the search's own choice, in the "
    "table of curves, takes the first of a tie. At the largest N nothing else differs."
)


def beside_curves(run: RunView) -> RenderableType:
    """The tables that a run has something for."""
    return Group(*_tables(run.summary))


def _tables(summary: Summary) -> Iterator[RenderableType]:
    if summary.costs:
        yield cost_table(summary.costs)
    if summary.subtrees is not None:
        yield _subtree_table(summary.subtrees)
        yield Text(_TIES)


def cost_table(costs: Mapping[int, CostPoint]) -> Table:
    """What a problem cost on average at each N; "-" is not told."""
    table = headed("mean cost of a problem", ("N", *_COSTS))
    for n, cost in sorted(costs.items()):
        computed = (cost.generations, cost.generated_tokens, cost.total_tokens, cost.flops)
        table.add_row(str(n), *map(count, computed), count(cost.seconds), _paid(cost))
    return table


def _paid(cost: CostPoint) -> str:
    return "-" if cost.money is None else f"{cost.money:.3g}"


def _subtree_table(cut: Part) -> Table:
    """What fewer whole subtrees of the same search would have chosen."""
    title = f"cut by whole subtrees of {cut.width}, not by candidates"
    table = headed(title, ("selector", "N", "accuracy", "95 % interval", "tokens"))
    for selector, curve in cut.curves.items():
        for place, (n, point) in enumerate(sorted(curve.items())):
            table.add_row(
                SELECTOR_LABELS.get(selector, selector) if place == 0 else "",
                str(n),
                share(point.accuracy),
                interval(point.ci_low, point.ci_high),
                count(point.tokens),
            )
    return table


def part_table(runs: Sequence[RunView], by: By) -> RenderableType:
    """Accuracy with its interval at the largest N: the methods side by side in each part."""
    rows = part_rows(runs, by)
    if not rows:
        return Text(f"the data set tells no {by}")
    table = headed("", (by, "method", "accuracy", "95 % interval", "N", "problems"))
    table.columns[1].justify = "left"
    for place, row in enumerate(rows):
        first = place == 0 or rows[place - 1].part != row.part
        last = place == len(rows) - 1 or rows[place + 1].part != row.part
        table.add_row(
            visible(row.part) if first else "",
            visible(row.method),
            share(row.point.accuracy),
            interval(row.point.ci_low, row.point.ci_high),
            str(row.n),
            str(row.problems),
            end_section=last,
        )
    return table
