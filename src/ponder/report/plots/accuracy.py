"""Accuracy against N and against each cost, over all problems and level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from ponder.evals.summary import natural
from ponder.report.plots.panels import Absent, CurveFigure, Panel, Ticks
from ponder.report.series import Axis, Baseline, baselines, series
from ponder.report.view import RunView, Summary

ACCURACY = "accuracy (%)"


class _AxisText(NamedTuple):
    """How one axis is written."""

    name: str
    """Of the figure's files, after "accuracy-"."""
    label: str
    ticks: Ticks
    mend: str
    """How a run comes to tell it."""


_AXES: Mapping[Axis, _AxisText] = MappingProxyType(
    {
        "n": _AxisText("n", "samples a problem (N)", "sizes", "grade the runs"),
        "tokens": _AxisText(
            "generated-tokens",
            "generated tokens a problem",
            "counts",
            "neither engine nor import does",
        ),
        "total_tokens": _AxisText(
            "total-tokens",
            "all tokens a problem, the verifier's too",
            "counts",
            "engine, verifier or import does not",
        ),
        "flops": _AxisText(
            "flops",
            "FLOPs a problem",
            "powers",
            "repeat `ponder run` with `--set size.parameters=P`, and the verifier's size",
        ),
        "seconds": _AxisText("seconds", "seconds a problem", "counts", "the runs tell no times"),
        "money": _AxisText("money", "money a problem", "counts", "give `--price generated=P`"),
    }
)
AXES: tuple[Axis, ...] = tuple(_AXES)


def accuracy_figure(
    runs: Sequence[RunView], given: Sequence[Baseline], axis: Axis
) -> CurveFigure | Absent:
    """The runs on one axis, with greedy runs and the `given` levels across.

    A run that does not tell the axis is left out with a note; where none does, there is no figure.
    """
    text = _AXES[axis]
    name, told = f"accuracy-{text.name}", text.name.replace("-", " ")
    lines = series(runs, axis)
    if not lines:
        return Absent(name, f"no run tells its {told}: {text.mend}")
    panel = Panel("", lines, (*baselines(runs), *given))
    untold = [run.name for run in runs if not run.greedy and not series([run], axis)]
    notes = tuple(f"without {other}, which does not tell its {told}" for other in untold)
    return CurveFigure(name, text.label, ACCURACY, text.ticks, (panel,), notes=notes)


def level_figure(runs: Sequence[RunView]) -> CurveFigure | Absent:
    """A panel a level, in natural order; a greedy run is a line across at its own accuracy there.

    A level across that is given as a number holds for all problems, and is in none of them.
    """
    named = {level for run in runs for level in run.summary.levels}
    cut = {level: [at_level(run, level) for run in runs] for level in sorted(named, key=natural)}
    panels = tuple(
        Panel(f"level {level}", lines, baselines([run for run in own if run.traces]))
        for level, own in cut.items()
        if (lines := series(own, "n"))
    )
    if not panels:
        return Absent("levels", "the data set tells no levels")
    return CurveFigure("levels", _AXES["n"].label, ACCURACY, "sizes", panels)


def at_level(run: RunView, level: str) -> RunView:
    """The run's problems of one level, as if there were no others."""
    part = run.summary.levels.get(level)
    summary = Summary(
        n_problems=part.n_problems or 0 if part else 0, curves=part.curves if part else {}
    )
    known = run.examples
    traces = tuple(
        trace
        for trace in run.traces
        if trace.problem_id in known and known[trace.problem_id].level == level
    )
    return replace(run, summary=summary, traces=traces)
