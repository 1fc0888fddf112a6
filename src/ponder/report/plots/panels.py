"""What a figure of curves shows, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.report.series import Baseline, Series

Ticks = Literal["sizes", "counts", "powers", "even"]
"""Of the x axis: the N themselves, 1k and 2k, powers of 10, all logarithmic; or even steps."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    """Empty for a figure of one panel."""
    lines: tuple[Series, ...]
    levels: tuple[Baseline, ...] = ()
    """Across the panel."""
    diagonal: bool = False
    """x and y are the same quantity: where they are equal is drawn."""


@dataclass(frozen=True, slots=True)
class CurveFigure:
    """Panels that share their axes' meaning and their legend."""

    name: str
    """Of its files."""
    x_label: str
    y_label: str
    ticks: Ticks
    panels: tuple[Panel, ...]
    """At least one, each with a line."""
    legend: bool = True
    """False where the panels' titles name their lines."""
    notes: tuple[str, ...] = ()
    """What is left out of it, a line each."""


class Absent(NamedTuple):
    """A figure that is not drawn."""

    name: str
    reason: str
