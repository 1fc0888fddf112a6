"""What tells lines apart: colours that differ for the colour-blind, and markers and dashes too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from ponder.report.series import Baseline, Series

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito 2008, "Color Universal Design", without black, and without yellow: too pale."""
INK = "#000000"
Dashes = Literal["-", "--", "-.", ":"] | tuple[int, tuple[int, ...]]
_LEVELS: tuple[Dashes, ...] = ("--", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))
"""Accuracies across, which are all ink."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


class Look(NamedTuple):
    """How one line is drawn, the same in all figures of a set."""

    colour: str
    marker: str
    dashes: Dashes


def looks(lines: Iterable[Series]) -> dict[str, Look]:
    """A look by name, in the order of the lines; 42 differ. The oracle is ink and dotted."""
    bounds = {line.name: line.bound for line in lines}
    methods = [name for name, bound in bounds.items() if not bound]
    found = {
        name: Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], "-")
        for place, name in enumerate(methods)
    }
    return {name: found.get(name, Look(INK, "x", ":")) for name in bounds}


def level_dashes(levels: Iterable[Baseline]) -> dict[str, Dashes]:
    """By name, in the order of the levels; 4 differ. One picked at random is dotted."""
    chances = {level.name: level.chance for level in levels}
    greedy = [name for name, chance in chances.items() if not chance]
    found = {name: _LEVELS[place % len(_LEVELS)] for place, name in enumerate(greedy)}
    return {name: found.get(name, ":") for name in chances}
