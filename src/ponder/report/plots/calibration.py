"""Reliability of a verifier: what its final scores promise, and what is right."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from ponder.evals.bootstrap import Estimated, bootstrapped, drawn
from ponder.evals.measure import Measured
from ponder.evals.step_accuracy import auc
from ponder.report.plots.binning import clustered, equal_groups
from ponder.report.plots.panels import Absent, CurveFigure, Panel
from ponder.report.series import Mark, Series
from ponder.report.views import LoadedRun

BINS = 10
NAME = "calibration"


class ScoredCandidate(NamedTuple):
    """A candidate with a final score."""

    problem: str
    score: float
    correct: bool


class Calibration(NamedTuple):
    """What the scores of one run are worth."""

    brier: float | None
    """Mean squared distance of score and correctness (Brier 1950): 0 is best, 0.25 what always
    0.5 gets. None where a score is no probability."""
    auc: Estimated
    """The chance that a right candidate scores above a wrong one."""
    marks: tuple[Mark, ...]
    """Mean score against the share that is right, by rising score."""


def scored(measured: Measured) -> tuple[ScoredCandidate, ...]:
    """The candidates that have a score."""
    return tuple(
        ScoredCandidate(problem.id, candidate.score, candidate.correct)
        for problem in measured.problems
        for candidate in problem.candidates
        if candidate.score is not None
    )


def calibration(candidates: Sequence[ScoredCandidate]) -> Calibration:
    """Of one run's candidates, at least one; in bins of about equally many."""
    names, scores, correct = zip(*candidates, strict=True)
    probable = all(0 <= score <= 1 for score in scores)
    return Calibration(
        fmean((one.score - one.correct) ** 2 for one in candidates) if probable else None,
        bootstrapped(auc(scores, correct), drawn(names)).estimated(),
        tuple(
            clustered((names[place], scores[place], float(correct[place])) for place in group)
            for group in equal_groups(scores, BINS)
        ),
    )


def calibration_figure(runs: Sequence[LoadedRun]) -> CurveFigure | Absent:
    """A panel a run whose candidates are scored; greedy runs are left out."""
    found = [(run, scored(run.measured)) for run in runs if not run.view.greedy]
    panels = tuple(_panel(run.view.name, own) for run, own in found if own)
    if not panels:
        return Absent(NAME, "no run has scored candidates: `ponder score RUN` adds scores")
    return CurveFigure(NAME, "final score", "right (%)", "even", panels, legend=False)


def _panel(name: str, candidates: Sequence[ScoredCandidate]) -> Panel:
    found = calibration(candidates)
    title = f"{name}\n{_told(found)}"
    lines = (Series(name, found.marks),)
    return Panel(title, lines, diagonal=found.brier is not None)


def _told(found: Calibration) -> str:
    brier = "-" if found.brier is None else f"{found.brier:.3f}"
    area = found.auc["value"]
    return f"Brier {brier}, AUC {'-' if area is None else f'{area:.3f}'}"
