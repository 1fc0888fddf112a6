"""Draws pairs of methods: one row a pair, an interval around its difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.report.comparison import probability
from ponder.report.plots.canvas import Paper, named, sheet
from ponder.report.plots.pairs import SIGNIFICANT, PairFigure, PairRow
from ponder.report.plots.palette import COLOURS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _STACKED_ROW = 0.2, 0.3
"""Inches of a row whose names stand side by side, or one above the other."""
_CHANCE = "#767676"


def draw_pairs(figure: PairFigure, paper: Paper) -> Figure:
    """Filled marks are more than chance; Holm's p stands at the right of each row."""
    characters = int(paper.width * 6)
    stacked = any(len(row.first) + len(row.second) + 3 > characters for row in figure.rows)
    drawn = sheet(paper, 0.8 + (_STACKED_ROW if stacked else _ROW) * len(figure.rows))
    axes = drawn.subplots()
    axes.axvline(0, color=INK, linewidth=0.7, linestyle="--")
    for place, row in enumerate(figure.rows):
        _draw_row(axes, place, row)
    labels = [_label(row, characters, "\n" if stacked else " ") for row in figure.rows]
    axes.set_yticks(range(len(figure.rows)), labels)
    axes.set_ylim(len(figure.rows) - 0.4, -1.1)
    axes.text(1.02, -0.75, "Holm p", transform=axes.get_yaxis_transform(), va="center")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"difference in points, 95 % interval;\nfilled: Holm p < {SIGNIFICANT:g}")
    return drawn


def _draw_row(axes: Axes, place: int, row: PairRow) -> None:
    colour = COLOURS[0] if row.significant else _CHANCE
    axes.plot((row.low, row.high), (place, place), color=colour, marker="|", markersize=5)
    fill = colour if row.significant else "white"
    axes.plot(row.difference, place, color=colour, marker="o", markerfacecolor=fill)
    where = axes.get_yaxis_transform()
    axes.text(1.02, place, probability(row.holm_p), transform=where, va="center")


def _label(row: PairRow, characters: int, between: str) -> str:
    return f"{named(row.first, characters)}{between}− {named(row.second, characters)}"
