"""Levels and subjects apart: the methods side by side within each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from ponder.evals.summary import natural
from ponder.report.view import SELECTOR_LABELS, Part, Point, RunView

By = Literal["level", "subject"]


class PartRow(NamedTuple):
    """One method on the problems of one level or subject."""

    part: str
    problems: int
    method: str
    """The run, by its own selector; of one run alone, each of its selectors."""
    n: int
    """The largest."""
    point: Point


def part_rows(runs: Sequence[RunView], by: By) -> list[PartRow]:
    """Levels or subjects in natural order, in each the methods that have figures there."""
    names = {name for run in runs for name in _parts(run, by)}
    return [row for name in sorted(names, key=natural) for row in _rows(runs, by, name)]


def _rows(runs: Sequence[RunView], by: By, name: str) -> Iterator[PartRow]:
    for run in runs:
        part = _parts(run, by).get(name)
        for method, selector in _methods(run, alone=len(runs) == 1):
            curve = part.curves.get(selector) if part else None
            if part and curve:
                n, point = max(curve.items())
                yield PartRow(name, part.n_problems or 0, method, n, point)


def _methods(run: RunView, *, alone: bool) -> list[tuple[str, str]]:
    """What a row is called, and its selector."""
    if not alone:
        return [(run.name, run.selector)]
    return [(SELECTOR_LABELS.get(own, own), own) for own in run.summary.curves]


def _parts(run: RunView, by: By) -> Mapping[str, Part]:
    return run.summary.levels if by == "level" else run.summary.subjects
