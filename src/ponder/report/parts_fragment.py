"""The page's tables of levels and subjects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from ponder.report.fragments import text
from ponder.report.parts import By, PartRow, part_rows
from ponder.report.view import RunView
from ponder.report.wording import interval, share


def part_tables(runs: Sequence[RunView]) -> str:
    """A table of levels and one of subjects, folded away; empty where the data set tells none."""
    return "".join(_table(by, part_rows(runs, by)) for by in get_args(By))


def _table(by: By, rows: Sequence[PartRow]) -> str:
    if not rows:
        return ""
    columns = ("accuracy", "95 % interval", "N", "problems")
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    head = f'<th scope="col">{by}</th><th scope="col" class="name">method</th>{heads}'
    parts = groupby(rows, key=lambda row: row.part)
    bodies = "".join(f"<tbody>{_part(list(own))}</tbody>" for _, own in parts)
    return (
        f'<details class="numbers"><summary>By {by}</summary><div class="wide">'
        f"<table><thead><tr>{head}</tr></thead>{bodies}</table></div></details>"
    )


def _part(rows: Sequence[PartRow]) -> str:
    """One level's rows, its name beside the first."""
    return "".join(
        f'<tr><th scope="row">{"" if place else text(row.part)}</th>'
        f'<td class="name">{text(row.method)}</td><td>{share(row.point.accuracy)}</td>'
        f"<td>{interval(row.point.ci_low, row.point.ci_high)}</td>"
        f"<td>{row.n}</td><td>{row.problems}</td></tr>"
        for place, row in enumerate(rows)
    )
