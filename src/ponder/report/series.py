"""Which curves a page shows: the runs' summaries turned into lines of points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ponder.evals.pools import STRATEGY as POOL
from ponder.report.view import SELECTOR_LABELS, Point, RunView

Axis = Literal["n", "tokens", "total_tokens", "flops", "seconds", "money"]
"""N, or what a problem costs on average; `tokens` are the generated ones."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of a line."""

    x: float
    """Where it stands on the figure's axis; N and costs are above 0."""
    point: Point


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a figure, or a lone point."""

    name: str
    marks: tuple[Mark, ...]
    """By rising x."""
    bound: bool = False
    """The oracle: what no selector can pass."""
    legend: str = ""
    """What it is called beside others where the name does not say all; empty: its name."""

    @property
    def label(self) -> str:
        """The name with the selector that chooses, or with the run whose oracle it is."""
        return self.legend or self.name


@dataclass(frozen=True, slots=True)
class Baseline:
    """An accuracy that spends no search: a level across the figure."""

    name: str
    accuracy: float
    chance: bool = False
    """Picked at random, not decoded greedily."""


def series(runs: Sequence[RunView], axis: Axis) -> tuple[Series, ...]:
    """The lines that compare `runs`, best first; the oracle comes last.

    A lone run shows each selector. Several runs show each its own selector, and the first pool of
    independent samples its oracle. Lone points of one method at several N are joined.
    """
    searched = [run for run in runs if not run.greedy]
    if len(searched) == 1:
        lines = [_line(searched[0], selector, axis) for selector in searched[0].summary.curves]
    else:
        lines = [_line(run, run.selector, axis, run.name) for run in searched]
        pools = [run for run in searched if _is_pool(run)]
        lines = _joined(searched, lines) + [_oracle(run, axis) for run in pools[:1]]
    drawn = [line for line in lines if line.marks]
    return tuple(sorted(drawn, key=lambda line: (line.bound, -line.marks[-1].point.accuracy)))


def baselines(runs: Sequence[RunView]) -> tuple[Baseline, ...]:
    """Greedy decoding, where a run of it is given, and one candidate picked at random."""
    levels = [
        Baseline(run.name, run.headline.accuracy)
        for run in runs
        if run.greedy and run.headline is not None
    ]
    searched = [run for run in runs if not run.greedy]
    pools = [run for run in searched if _is_pool(run)] or searched
    chance = next((run.random_choice for run in pools if run.random_choice is not None), None)
    if chance is not None:
        levels.append(Baseline("random selection", chance, chance=True))
    return tuple(levels)


def side_steps(lines: Sequence[Series]) -> list[float]:
    """Steps to the side, by line, for lone points that would hide each other or a line's mark.

    They stand around their place as near as they can: where a line has a mark, to its right and
    left in turn.
    """
    lone = [line.marks[0].x if len(line.marks) == 1 else None for line in lines]
    taken = {mark.x for line in lines if len(line.marks) > 1 for mark in line.marks}
    shared = Counter(lone)
    seen: Counter[float] = Counter()
    steps = []
    for x in lone:
        if x is None:
            steps.append(0.0)
            continue
        place = seen[x]
        around = float(place // 2 + 1) * (-1 if place % 2 else 1)
        steps.append(around if x in taken else place + (1 - shared[x]) / 2)
        seen[x] += 1
    return steps


def _line(run: RunView, selector: str, axis: Axis, name: str | None = None) -> Series:
    curve = sorted(run.summary.curves.get(selector, {}).items())
    marks = (Mark(_x(run, n, point, axis), point) for n, point in curve)
    label = SELECTOR_LABELS.get(selector, selector)
    drawn = tuple(mark for mark in marks if mark.x > 0)
    if name is None:
        return Series(label, drawn, selector == "oracle")
    return Series(name, drawn, selector == "oracle", _legend(name, label))


def _oracle(run: RunView, axis: Axis) -> Series:
    """A run's oracle beside the lines of several."""
    line = _line(run, "oracle", axis)
    return replace(line, legend=f"{line.name} of {run.name}")


def _legend(name: str, selector: str) -> str:
    """A method and its selector; one that is called after its selector says so already."""
    return name if selector.lower() in name.lower() else f"{name}, {selector}"


def _x(run: RunView, n: int, point: Point, axis: Axis) -> float:
    """0 where it is not told."""
    if axis == "n":
        return float(n)
    if axis == "tokens":
        return point.tokens or 0.0
    told: float | None = getattr(run.summary.costs.get(n), axis, None)
    return told or 0.0


def _is_pool(run: RunView) -> bool:
    return len(run.summary.curves.get("oracle", {})) > 1


def _joined(runs: Sequence[RunView], lines: Sequence[Series]) -> list[Series]:
    """The lines, with lone points of one method and selector made one line if their N differ.

    Of imports, whose method is not known, those of one folder are taken to be of one.
    """
    drawn = [line for line in lines if len(line.marks) != 1]
    lone: dict[tuple[str, str], list[_Lone]] = {}
    for run, line in zip(runs, lines, strict=True):
        if len(line.marks) == 1:
            folder = run.name.rpartition("/")[0]
            point = _Lone(run.strategy, folder, max(run.summary.curves[run.selector]), line)
            method = folder or run.name if run.method is None else run.method
            lone.setdefault((method, run.selector), []).append(point)
    lines_of = {key: points for key, points in lone.items() if _sizes_differ(points)}
    strategies = Counter((own[0].strategy, selector) for (_, selector), own in lines_of.items())
    for key, points in lone.items():
        if key in lines_of:
            alone = strategies[points[0].strategy, key[1]] == 1
            drawn.append(_one_line(_name(points, alone=alone), key[1], points))
        else:
            drawn += [point.line for point in points]
    return drawn


class _Lone(NamedTuple):
    """A run with one N."""

    strategy: str
    folder: str
    """What its name says of the folder that it is in."""
    size: int
    line: Series


def _sizes_differ(points: Sequence[_Lone]) -> bool:
    return len(points) > 1 and len({point.size for point in points}) == len(points)


def _name(points: Sequence[_Lone], *, alone: bool) -> str:
    """The strategy where no other line is of it, else the runs' folder, else their names."""
    if alone and points[0].strategy != POOL:
        return points[0].strategy
    folders = {point.folder for point in points}
    if len(folders) == 1 and "" not in folders:
        return folders.pop()
    return ", ".join(point.line.name for point in sorted(points, key=lambda point: point.size))


def _one_line(name: str, selector: str, points: Sequence[_Lone]) -> Series:
    marks = sorted((point.line.marks[0] for point in points), key=lambda mark: mark.x)
    label = SELECTOR_LABELS.get(selector, selector)
    return Series(name, tuple(marks), legend=_legend(name, label))
