"""Accuracy against compute as inline SVG: styled by the page's CSS, readable without colour.

Each figure has a title and a description for those who cannot see it, a marker shape a line, and a
tooltip a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ponder.report.escape import visible
from ponder.report.scales import (
    Scale,
    accuracy_range,
    accuracy_ticks,
    count_ticks,
    decade_ticks,
    log_range,
)
from ponder.report.series import Axis, Baseline, Mark, Series, side_steps
from ponder.report.wording import count, share

WIDTH, HEIGHT = 560.0, 350.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 16.0, 14.0, 56.0
_STEP = 12.0
"""Pixels between lone points that stand side by side."""
_DASHES = 4
"""Kinds of dashes in the style sheet."""
_LABELS = {"n": "samples a problem (N)", "tokens": "generated tokens a problem"}
_SHAPES = (
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -5.2L5.2 0L0 5.2L-5.2 0Z",
    "M0 -5L4.8 3.6H-4.8Z",
    "M0 5L4.8 -3.6H-4.8Z",
    "M-1.5 -5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z",
    "M0 -5L4.8 -1.5L2.9 4.1H-2.9L-4.8 -1.5Z",
)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values stand in one figure."""

    axis: Axis
    x: Scale
    y: Scale


def figure(axis: Axis, lines: Sequence[Series], levels: Sequence[Baseline]) -> str:
    """One SVG element: `lines` with their bands, and `levels` across.

    Without any line, a sentence that says why there is no figure.
    """
    marks = [mark for line in lines for mark in line.marks]
    if not marks:
        return f'<p class="absent">No figure: the {_LABELS[axis]} were not told.</p>'
    frame = _frame(axis, marks, levels)
    steps = side_steps(lines)
    dashed = zip(levels, _dashes(levels), strict=True)
    parts = [_grid(frame, marks), *(_level(frame, level, dashes) for level, dashes in dashed)]
    parts += [_band(frame, line, slot) for slot, line in enumerate(lines)]
    parts += [_line(frame, line, slot, steps[slot] * _STEP) for slot, line in enumerate(lines)]
    return (
        f'<svg class="figure" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-labelledby="figure-{axis}-title figure-{axis}-text">'
        f'<title id="figure-{axis}-title">Accuracy against {_LABELS[axis]}</title>'
        f'<desc id="figure-{axis}-text">{_told(lines, levels)}</desc>{"".join(parts)}</svg>'
    )


def legend(lines: Sequence[Series], levels: Sequence[Baseline]) -> str:
    """What stands for what, as an HTML list."""
    entries = [_entry(line, slot) for slot, line in enumerate(lines)]
    for level, dashes in zip(levels, _dashes(levels), strict=True):
        swatch = f'<line class="{dashes}" x1="0" x2="30" y1="8" y2="8"/>'
        entries.append(_item(swatch, f"{level.name} {share(level.accuracy)}"))
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _frame(axis: Axis, marks: Sequence[Mark], levels: Sequence[Baseline]) -> _Frame:
    values = [level.accuracy for level in levels]
    for mark in marks:
        values += [mark.point.accuracy, *_interval(mark)]
    x = Scale(*log_range(mark.x for mark in marks), _LEFT, WIDTH - _RIGHT, logarithmic=True)
    return _Frame(axis, x, Scale(*accuracy_range(values), HEIGHT - _BOTTOM, _TOP))


def _grid(frame: _Frame, marks: Sequence[Mark]) -> str:
    counts = frame.axis == "n"
    columns = (
        count_ticks(mark.x for mark in marks) if counts else decade_ticks(frame.x.low, frame.x.high)
    )
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = ['<g class="grid">']
    for value in accuracy_ticks(frame.y.low, frame.y.high):
        y = frame.y(value)
        parts.append(f'<line x1="{_LEFT:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="row" x="{_LEFT - 9:g}" y="{y + 4:.1f}">{value:.0%}</text>')
    for value in columns:
        x = frame.x(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:g}" y2="{bottom + 5:g}"/>')
        parts.append(f'<text class="column" x="{x:.1f}" y="{bottom + 21:g}">{count(value)}</text>')
    middle = (_LEFT + right) / 2
    label = f'<text class="axis" x="{middle:g}" y="{HEIGHT - 8:g}">{_LABELS[frame.axis]}</text>'
    return "".join([*parts, label, "</g>"])


def _level(frame: _Frame, level: Baseline, dashes: str) -> str:
    y = frame.y(level.accuracy)
    ends = f'x1="{_LEFT:g}" x2="{WIDTH - _RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"'
    tooltip = f"<title>{_text(level.name)}: {share(level.accuracy)}</title>"
    return f'<line class="{dashes}" {ends}>{tooltip}</line>'


def _band(frame: _Frame, line: Series, slot: int) -> str:
    known = [(mark, *_interval(mark)) for mark in line.marks if _interval(mark)]
    if len(known) < 2:
        return ""
    upper = [f"{frame.x(mark.x):.1f} {frame.y(high):.1f}" for mark, _, high in known]
    lower = [f"{frame.x(mark.x):.1f} {frame.y(low):.1f}" for mark, low, _ in reversed(known)]
    return f'<path class="band {_colour(line, slot)}" d="M{"L".join(upper + lower)}Z"/>'


def _line(frame: _Frame, line: Series, slot: int, shift: float) -> str:
    places = [(frame.x(m.x) + shift, frame.y(m.point.accuracy)) for m in line.marks]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts = [f'<g class="series {_colour(line, slot)}">']
    parts += [f'<path class="line" d="M{path}"/>'] if len(places) > 1 else []
    for mark, (x, y) in zip(line.marks, places, strict=True):
        parts += [_whisker(frame, mark, x)] if len(places) == 1 else []
        parts.append(
            f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{_shape(slot)}">'
            f"<title>{_tooltip(frame.axis, line, mark)}</title></path>"
        )
    return "".join([*parts, "</g>"])


def _whisker(frame: _Frame, mark: Mark, x: float) -> str:
    interval = _interval(mark)
    if not interval:
        return ""
    low, high = (frame.y(value) for value in interval)
    ends = "".join(f"M{x - 4:.1f} {y:.1f}H{x + 4:.1f}" for y in (low, high))
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'


def _interval(mark: Mark) -> tuple[float, float] | tuple[()]:
    low, high = mark.point.ci_low, mark.point.ci_high
    return () if low is None or high is None else (low, high)


def _tooltip(axis: Axis, line: Series, mark: Mark) -> str:
    interval = _interval(mark)
    bounds = f" ({share(interval[0])} to {share(interval[1])})" if interval else ""
    place = f"N = {mark.x:g}" if axis == "n" else f"{count(mark.x)} tokens"
    return f"{_text(line.label)}, {place}: {share(mark.point.accuracy)}{bounds}"


def _told(lines: Sequence[Series], levels: Sequence[Baseline]) -> str:
    ends = [f"{line.label} reaches {share(line.marks[-1].point.accuracy)}" for line in lines]
    ends += [f"{level.name} has {share(level.accuracy)}" for level in levels]
    return _text("; ".join(ends) + ".")


def _entry(line: Series, slot: int) -> str:
    swatch = (
        f'<g class="series {_colour(line, slot)}"><path class="line" d="M0 8H30"/>'
        f'<path class="mark" transform="translate(15 8)" d="{_shape(slot)}"/></g>'
    )
    return _item(swatch, f"{line.label} {share(line.marks[-1].point.accuracy)}")


def _item(swatch: str, text: str) -> str:
    drawing = f'<svg viewBox="0 0 30 16" width="30" height="16" aria-hidden="true">{swatch}</svg>'
    return f"<li>{drawing}{_text(text)}</li>"


def _dashes(levels: Sequence[Baseline]) -> list[str]:
    """The classes of each level: greedy ones differ in their dashes."""
    greedy = [level.name for level in levels if not level.chance]
    return [
        "level chance" if level.chance else f"level dash-{greedy.index(level.name) % _DASHES}"
        for level in levels
    ]


def _colour(line: Series, slot: int) -> str:
    return "bound" if line.bound else f"colour-{slot % len(_SHAPES)}"


def _shape(slot: int) -> str:
    return _SHAPES[slot % len(_SHAPES)]


def _text(text: str) -> str:
    return escape(visible(text))
