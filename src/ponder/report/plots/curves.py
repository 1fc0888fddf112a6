"""Draws panels of curves: bands, whiskers of lone points, levels across, one legend below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ponder.report.plots.canvas import Key, Paper, add_legend, named, sheet
from ponder.report.plots.palette import INK, Dashes, Look, level_dashes
from ponder.report.plots.panels import CurveFigure, Panel, Ticks
from ponder.report.scales import (
    accuracy_range,
    accuracy_ticks,
    count_ticks,
    decade_ticks,
    log_range,
)
from ponder.report.series import Baseline, Series, side_steps
from ponder.report.wording import count, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_STEP = 4.5 / 72
"""Inches between lone points that stand side by side."""
_NARROW = 2.0
"""Inches of a panel in which five numbers would run into each other."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_curves(figure: CurveFigure, looks: Mapping[str, Look], paper: Paper) -> Figure:
    """The figure on paper; `looks` has one for each line."""
    lines = {line.name: line for panel in figure.panels for line in panel.lines}
    levels = {level.name: level for panel in figure.panels for level in panel.levels}
    dashes = level_dashes(levels.values())
    keys = [*_line_keys(lines.values(), looks), *_level_keys(figure, levels.values(), dashes)]
    keys = keys if figure.legend else []
    across = min(len(figure.panels), paper.across)
    down = -(-len(figure.panels) // across)
    height = paper.panel_height if across == 1 else down * (paper.width / across + 0.2)
    drawn = sheet(paper, height, [key.label for key in keys])
    grid = drawn.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, figure.panels, strict=False):
        _draw_panel(axes, panel, looks, dashes)
    for axes in grid.flat[len(figure.panels) :]:
        axes.remove()
    _scale(grid[0][0], figure, paper.width / across)
    for axes in grid.flat[max(0, len(figure.panels) - across) : len(figure.panels)]:
        axes.tick_params(labelbottom=True)  # the lowest of each column, also where one is missing
        axes.set_xlabel(figure.x_label)
    for axes in grid[:, 0]:
        axes.set_ylabel(figure.y_label)
    if keys:
        add_legend(drawn, paper, keys)
    return drawn


def power_text(value: float) -> str:
    """2e12 as "2·10¹²", a power of ten without its factor."""
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**exponent:.2g}"
    power = "10" + str(exponent).translate(_SUPERSCRIPTS)
    return power if factor == "1" else f"{factor}·{power}"


def _draw_panel(
    axes: Axes, panel: Panel, looks: Mapping[str, Look], dashes: Mapping[str, Dashes]
) -> None:
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title("\n".join(named(line, 36) for line in panel.title.split("\n")))
    for level in panel.levels:
        axes.axhline(
            level.accuracy,
            color=INK,
            linewidth=0.9,
            linestyle=dashes[level.name],
            gid=f"level {level.name}",
        )
    if panel.diagonal:
        axes.axline((0, 0), slope=1, color=INK, linewidth=0.7, linestyle=":")
    for line, steps in zip(panel.lines, side_steps(panel.lines), strict=True):
        _draw_line(axes, line, looks[line.name], steps)


def _draw_line(axes: Axes, line: Series, look: Look, steps: float) -> None:
    """The line with its band; a lone point with its whisker, moved to the side by `steps`."""
    from matplotlib.transforms import ScaledTranslation

    x = [mark.x for mark in line.marks]
    aside = ScaledTranslation(steps * _STEP, 0, axes.figure.dpi_scale_trans)
    place = axes.transData + aside
    _draw_interval(axes, line, look.colour, place)
    crossed = look.marker == "x"
    axes.plot(
        x,
        [mark.point.accuracy for mark in line.marks],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dashes,
        transform=place,
        markeredgecolor=look.colour if crossed else "white",
        markeredgewidth=0.9 if crossed else 0.4,
        gid=f"line {line.name}",
    )


def _draw_interval(axes: Axes, line: Series, colour: str, place: Transform) -> None:
    known = [
        (mark.x, mark.point.ci_low, mark.point.ci_high)
        for mark in line.marks
        if mark.point.ci_low is not None and mark.point.ci_high is not None
    ]
    x, low, high = ([row[column] for row in known] for column in range(3))
    if len(line.marks) > 1:
        band = axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
        band.set_gid(f"band {line.name}")
    elif known:
        ends = (low[0], high[0])
        axes.plot((x[0], x[0]), ends, color=colour, linewidth=0.8, marker="_", transform=place)


def _scale(axes: Axes, figure: CurveFigure, width: float) -> None:
    """Limits and ticks of the axes that all panels share, each so many inches wide."""
    marks = [mark for panel in figure.panels for line in panel.lines for mark in line.marks]
    bounds = [(mark.point.ci_low, mark.point.ci_high) for mark in marks]
    values = [mark.point.accuracy for mark in marks]
    values += [bound for pair in bounds for bound in pair if bound is not None]
    values += [level.accuracy for panel in figure.panels for level in panel.levels]
    low, high = accuracy_range(values)
    ticks = accuracy_ticks(low, high)
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [f"{tick * 100:g}" for tick in ticks])
    places = [mark.x for mark in marks]
    if figure.ticks == "even":
        _even(axes, places, width)
    else:
        _logarithmic(axes, places, figure.ticks)


def _even(axes: Axes, places: Sequence[float], width: float) -> None:
    from matplotlib.ticker import MaxNLocator

    air = (max(places) - min(places)) * 0.05 or 0.5
    axes.set_xlim(min(places) - air, max(places) + air)
    ticks = 3 if width < _NARROW else 5
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))


def _logarithmic(axes: Axes, places: Sequence[float], ticks: Ticks) -> None:
    low, high = log_range(places)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    values = count_ticks(places) if ticks == "sizes" else decade_ticks(low, high)
    write = power_text if ticks == "powers" else count
    axes.set_xticks(values, [write(value) for value in values])
    axes.set_xticks([], minor=True)


def _line_keys(lines: Iterable[Series], looks: Mapping[str, Look]) -> Iterator[Key]:
    from matplotlib.lines import Line2D

    for line in lines:
        look = looks[line.name]
        handle = Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dashes)
        yield Key(handle, named(line.label))


def _level_keys(
    figure: CurveFigure, levels: Iterable[Baseline], dashes: Mapping[str, Dashes]
) -> Iterator[Key]:
    """Levels across, with their accuracy where it is the same in the whole figure."""
    from matplotlib.lines import Line2D

    for level in levels:
        handle = Line2D([], [], color=INK, linewidth=0.9, linestyle=dashes[level.name])
        told = f" {share(level.accuracy)}" if len(figure.panels) == 1 else ""
        yield Key(handle, f"{named(level.name)}{told}")
