"""Draws the map of choices: a letter a cell, what it stands for below."""

from __future__ import annotations

from string import ascii_uppercase
from textwrap import fill
from typing import TYPE_CHECKING

from ponder.report.plots.canvas import Key, Paper, add_legend, named, sheet
from ponder.report.plots.choices import ChoiceMap
from ponder.report.plots.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.28
"""Inches."""
_CHARACTERS = 14.5
"""An inch holds so many beside a legend's mark."""


def draw_map(choices: ChoiceMap, paper: Paper) -> Figure:
    """Levels downwards, n to the right."""
    from matplotlib.patches import Patch

    keys = [
        Key(Patch(color=_tint(kind), linewidth=0), _label(kind, words, paper))
        for kind, words in enumerate(choices.kinds)
    ]
    drawn = sheet(paper, 0.7 + _ROW * len(choices.cells), [key.label for key in keys])
    axes = drawn.subplots()
    for row, cells in enumerate(choices.cells):
        for column, kind in enumerate(cells):
            _draw_cell(axes, row, column, kind)
    axes.set_xlim(-0.5, len(choices.sizes) - 0.5)
    axes.set_ylim(len(choices.cells) - 0.5, -0.5)
    axes.set_xticks(range(len(choices.sizes)), [str(n) for n in choices.sizes])
    axes.set_yticks(range(len(choices.cells)), [str(row + 1) for row in range(len(choices.cells))])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("samples a problem (n)")
    axes.set_ylabel("level (1 is easiest)")
    add_legend(drawn, paper, keys)
    return drawn


def letter(kind: int) -> str:
    """A to Z, then A1 to Z1, ..."""
    round_, place = divmod(kind, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(round_) if round_ else "")


def _label(kind: int, words: str, paper: Paper) -> str:
    """As many lines as the paper's width asks for."""
    text = f"{letter(kind)}  {named(words, 200)}"
    return fill(text, int(paper.width * _CHARACTERS), subsequent_indent="     ")


def _draw_cell(axes: Axes, row: int, column: int, kind: int) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=_tint(kind), edgecolor="white")
    )
    axes.text(column, row, letter(kind), ha="center", va="center", weight="bold")


def _tint(kind: int) -> tuple[str, float]:
    """A colour that black letters can be read on."""
    return COLOURS[kind % len(COLOURS)], 0.45
