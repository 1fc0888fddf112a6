"""Tables for the terminal: one run's curves, and methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.repeats import Repeats
from ponder.report.escape import visible
from ponder.report.series import Baseline
from ponder.report.view import (
    SELECTOR_LABELS,
    WARNING_SHARE,
    MethodRow,
    Point,
    RunView,
    problems_apart,
    warnings,
)
from ponder.report.wording import count, interval, of_all, problems_of, share


def curve_table(run: RunView) -> Table:
    """One run's accuracy with its interval by selector and N, as `ponder report` prints it."""
    heads = ("selector", "N", "accuracy", "95 % interval", "first N", "tokens")
    table = headed(visible(run.name), heads)
    for selector, curve in run.summary.curves.items():
        first = run.summary.first_n.get(selector, {})
        for place, (n, point) in enumerate(sorted(curve.items())):
            table.add_row(
                SELECTOR_LABELS.get(selector, selector) if place == 0 else "",
                str(n),
                share(point.accuracy),
                interval(point.ci_low, point.ci_high),
                share(first.get(n)),
                count(point.tokens),
                end_section=place == len(curve) - 1,
            )
    return table


def method_table(rows: Sequence[MethodRow], title: str = "") -> Table:
    """Methods side by side, as the demo ends; costs are means a problem.

    The title, if none is given, says on how many problems; a column does where they differ.
    """
    apart = problems_apart(rows)
    if rows and not title and not apart:
        title = problems_of(rows[0].problems, rows[0].asked)
    heads = ("accuracy", "95 % interval", "generated", "verifier", "seconds")
    table = headed(visible(title), ("method", *(["problems"] if apart else []), *heads))
    for row in rows:
        held = [of_all(row.problems, row.asked)] if apart else []
        costs = (count(cost) for cost in (row.generated, row.verifier, row.seconds))
        name = Text(visible(row.name))
        table.add_row(name, *held, share(row.accuracy), interval(row.low, row.high), *costs)
    return table


def run_report(run: RunView) -> RenderableType:
    """What `ponder report RUN` prints: the curves, the counts, and the warnings."""
    summary = run.summary
    graded = " by the imported grades" if summary.grades == "imported" else ""
    parts = [f"{problems_of(summary.n_problems, run.asked)}{graded}"]
    parts += [f"{summary.failed} failed"] if summary.failed else []
    truncated, unanswered = summary.spoilt
    parts += [f"truncated {share(truncated)}", f"unanswered {share(unanswered)}"]
    return Group(curve_table(run), Text(", ".join(parts)), warning_lines([run]))


def warning_lines(runs: Sequence[RunView]) -> RenderableType:
    """A line for each share of ruined samples above the limit; nothing when there is none."""
    lines = [f"Warning: {visible(line)}" for line in warnings(runs)]
    if not lines:
        return Group()
    limit = f"(more than {WARNING_SHARE:.0%} of samples: the comparison may be ruined)"
    return Text("\n".join([*lines, limit]), style="yellow")


def repeat_lines(groups: Sequence[Repeats], runs: Sequence[RunView]) -> RenderableType:
    """How far the accuracy of equal runs of other seeds lies apart, a line a method."""
    return Group(*(_repeat_line(group, runs[group["runs"][0]]) for group in groups))


def _repeat_line(group: Repeats, first: RunView) -> Text:
    points = group["spread"].get(first.selector, {})
    if not points:
        return Text(f"{visible(first.name)}: its seeds have no N in common")
    n, spread = max(points.items(), key=lambda item: int(item[0]))
    label = SELECTOR_LABELS.get(first.selector, first.selector)
    return Text(
        f"{visible(first.name)}, {label} at N = {n} between {spread['runs']} seeds: "
        f"{share(spread['mean'])}, standard deviation {spread['stdev'] * 100:.1f} points, "
        f"{interval(spread['lowest'], spread['highest'])}"
    )


def level_lines(greedy: Sequence[RunView], levels: Sequence[Baseline]) -> RenderableType:
    """What methods are measured against, a line each: greedy runs, and accuracies without a run."""
    found = [(run.name, run.headline) for run in greedy]
    found += [(level.name, Point(accuracy=level.accuracy)) for level in levels]
    return Group(*(_level_line(visible(name), point) for name, point in found))


def _level_line(name: str, point: Point | None) -> Text:
    if point is None:
        return Text(f"{name}: {share(None)}")
    between = "" if point.ci_low is None else f", {interval(point.ci_low, point.ci_high)}"
    return Text(f"{name}: {share(point.accuracy)}{between}")


def headed(title: str, heads: Sequence[str]) -> Table:
    """An empty table; the first column is words, the others figures."""
    shown = Text(title, style="bold") if title else None
    table = Table(title=shown, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=place > 0)
    return table
