"""What `ponder fit` prints: each n, the ways to choose, and whether choosing by level helps."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.fitting import FitAt, FitReport, FitRow
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.wording import count, interval, share, signed

_NOTE = (
    "Choices are made on one half of the problems and measured on the other. Oracle levels are by "
    "the share of right samples; predicted ones by all samples, which are not counted; the policy "
    "knows the first samples only. Level 1 is the easiest."
)


def fit_report(report: FitReport) -> RenderableType:
    """A table for each n, the choices, the verdict."""
    parts: list[RenderableType] = []
    for at in report["sizes"]:
        parts += [_table(at), Text(_verdict(at)), Text(_choices(at)), Text()]
    return Group(*parts, Text(_NOTE))


def _table(at: FitAt) -> Table:
    heads = ("choice", "accuracy", "95 % interval", "tokens", "policy less this", "95 % interval")
    table = headed(f"n = {at['n']}", heads)
    for place, row in enumerate(at["fixed"]):
        _add(table, row, end_section=place == len(at["fixed"]) - 1)
    for row in (
        at["best_fixed"],
        at["first_samples"],
        at["predicted_levels"],
        at["oracle_levels"],
        at["oracle_choice"],
    ):
        _add(table, row)
    return table


def _add(table: Table, row: FitRow, *, end_section: bool = False) -> None:
    table.add_row(
        visible(row["name"]),
        share(row["accuracy"]),
        interval(row["ci_low"], row["ci_high"]),
        count(row["tokens"]),
        *_gain(row),
        end_section=end_section,
    )


def _gain(row: FitRow) -> tuple[str, str]:
    """How much better the policy is; nothing beside the policy itself."""
    if row["gain"] == row["gain_low"] == row["gain_high"] or row["name"] == "by the first samples":
        return "", ""
    return signed(row["gain"]), f"{signed(row['gain_low'])} to {signed(row['gain_high'])}"


def _verdict(at: FitAt) -> str:
    gain, interval_ = _gain(at["best_fixed"])
    difference = f"{gain} points ({interval_})"
    if at["better"]:
        return f"Choosing by the first samples gains {difference} over the best fixed choice."
    return f"A fixed choice is no worse: choosing by the first samples gives {difference}."


def _choices(at: FitAt) -> str:
    return "\n".join(f"level {level}: {name}" for level, name in enumerate(at["choices"], start=1))
