"""The whole set of figures of some runs, as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ponder.errors import UsageError
from ponder.evals.compare import Method
from ponder.report.plots.accuracy import AXES, accuracy_figure, level_figure
from ponder.report.plots.calibration import calibration_figure
from ponder.report.plots.canvas import PAPERS, Paper, check_installed, save, styled
from ponder.report.plots.choices import NAME as CHOICES
from ponder.report.plots.choices import choice_map
from ponder.report.plots.curves import draw_curves
from ponder.report.plots.entropy import entropy_figure
from ponder.report.plots.forest import draw_pairs
from ponder.report.plots.grid import draw_map
from ponder.report.plots.index import read_index, replace_index
from ponder.report.plots.pairs import NAME as COMPARISON
from ponder.report.plots.pairs import pair_figure
from ponder.report.plots.palette import looks
from ponder.report.plots.panels import Absent, CurveFigure
from ponder.report.series import Baseline
from ponder.report.views import LoadedRun
from ponder.search.policy import Policy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Subjects:
    """What the figures are drawn from."""

    runs: tuple[LoadedRun, ...]
    """Greedy ones are levels across."""
    methods: tuple[Method, ...]
    """What is compared in pairs."""
    levels: tuple[Baseline, ...] = ()
    """Further accuracies across, over all problems."""
    policy: Policy | None = None


class Drawing(NamedTuple):
    """A figure that can be drawn on any paper."""

    name: str
    draw: Callable[[Paper], Figure]
    notes: tuple[str, ...] = ()


class Written(NamedTuple):
    """What was written and what was not."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    """A line for each figure that was left out, or that leaves something out."""
    removed: int
    """Files of the call before that this one did not write again."""


def drawings(subjects: Subjects) -> tuple[Drawing | Absent, ...]:
    """All figures in their order; a line looks the same in each."""
    curves = list(_curve_figures(subjects))
    shown = [figure for figure in curves if isinstance(figure, CurveFigure)]
    found = looks(line for figure in shown for panel in figure.panels for line in panel.lines)
    return (
        *(
            figure
            if isinstance(figure, Absent)
            else Drawing(figure.name, partial(draw_curves, figure, found), figure.notes)
            for figure in curves
        ),
        _comparison(subjects.methods),
        _choices(subjects.policy),
    )


def write_figures(folder: Path, subjects: Subjects) -> Written:
    """SVG and PNG in FOLDER/one-column and FOLDER/two-columns, and an index of them.

    A figure without data is left out with a note; one of the call before that is not drawn again
    is removed. Raises MissingExtraError without matplotlib, UsageError for a folder that cannot be
    written.
    """
    check_installed()
    before = read_index(folder)
    paths: list[Path] = []
    notes: list[str] = []
    for drawing in drawings(subjects):
        if isinstance(drawing, Absent):
            notes.append(f"no figure {drawing.name}: {drawing.reason}")
            continue
        notes += [f"figure {drawing.name}: {note}" for note in drawing.notes]
        with _writable(folder):
            paths += _written(folder, drawing)
    with _writable(folder):
        removed = replace_index(folder, before, paths, notes)
    return Written(tuple(paths), tuple(notes), removed)


def _curve_figures(subjects: Subjects) -> Iterator[CurveFigure | Absent]:
    views = [run.view for run in subjects.runs]
    for axis in AXES:
        yield accuracy_figure(views, subjects.levels, axis)
    yield level_figure(views)
    yield calibration_figure(subjects.runs)
    yield entropy_figure(subjects.runs)


def _comparison(methods: Sequence[Method]) -> Drawing | Absent:
    figure = pair_figure(methods)
    if isinstance(figure, Absent):
        return figure
    return Drawing(COMPARISON, partial(draw_pairs, figure))


def _choices(policy: Policy | None) -> Drawing | Absent:
    if policy is None:
        return Absent(CHOICES, "name a policy: `--policy FILE`")
    return Drawing(CHOICES, partial(draw_map, choice_map(policy)))


def _written(folder: Path, drawing: Drawing) -> list[Path]:
    paths: list[Path] = []
    for paper in PAPERS:
        place = folder / paper.folder
        place.mkdir(parents=True, exist_ok=True)
        with styled():
            paths += save(drawing.draw(paper), place, drawing.name)
    return paths


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write figures in {folder}: {error.strerror}") from None
