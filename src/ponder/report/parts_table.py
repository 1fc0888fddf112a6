"""Tables beside a run's curves: what each N cost, levels and subjects, a DVTS by subtrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.view import SELECTOR_LABELS, CostPoint, Part, RunView, Summary
from ponder.report.wording import count, interval, share

_COSTS = ("samples", "generated", "all tokens", "FLOPs", "seconds", "money")


def beside_curves(run: RunView, by: str | None = None) -> RenderableType:
    """The tables that a run has something for; `by` is level or subject."""
    return Group(*_tables(run.summary, by))


def _tables(summary: Summary, by: str | None) -> Iterator[RenderableType]:
    if summary.costs:
        yield cost_table(summary.costs)
    if summary.subtrees is not None:
        yield _subtree_table(summary.subtrees)
    if by is not None:
        yield _part_table(by, summary.levels if by == "level" else summary.subjects)


def cost_table(costs: Mapping[int, CostPoint]) -> Table:
    """What a problem cost on average at each N; "-" is not told."""
    table = headed("mean cost of a problem", ("N", *_COSTS))
    for n, cost in sorted(costs.items()):
        tokens = (cost.generations, cost.generated_tokens, cost.total_tokens)
        table.add_row(
            str(n), *map(count, tokens), scientific(cost.flops), count(cost.seconds), _paid(cost)
        )
    return table


def scientific(value: float | None) -> str:
    """1234567 as "1.2e+06"; None is "-"."""
    return "-" if value is None else f"{value:.1e}"


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


def _part_table(name: str, parts: Mapping[str, Part]) -> RenderableType:
    """Accuracy with its interval at the largest N, a row a level or subject."""
    if not parts:
        return Text(f"the data set tells no {name}")
    selectors = list(next(iter(parts.values())).curves)
    heads = (name, "problems", *(SELECTOR_LABELS.get(own, own) for own in selectors))
    table = headed("", heads)
    for label, part in parts.items():
        cells = (_at_largest(part, selector) for selector in selectors)
        table.add_row(visible(label), str(part.n_problems), *cells)
    return table


def _at_largest(part: Part, selector: str) -> str:
    curve = part.curves[selector]
    if not curve:
        return "-"
    point = curve[max(curve)]
    return f"{share(point.accuracy)} ({interval(point.ci_low, point.ci_high)})"
