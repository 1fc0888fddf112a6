"""A run's figures, and those of several runs joined: what `ponder report --json` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal, TypedDict

from ponder.evals.graded import Estimate
from ponder.evals.intervals import mean_interval
from ponder.evals.measure import At, Measured
from ponder.evals.outcomes import Grader
from ponder.evals.repeats import Repeats, seed_spreads


class Point(TypedDict):
    """Accuracy at one N."""

    accuracy: float
    ci_low: float
    ci_high: float
    stderr: float
    mc_stderr: float
    """Standard error of the Monte Carlo over subsets; 0 when exact."""
    tokens: float | None
    """Mean of generated tokens a problem; None when any is not told."""


class RunReport(TypedDict):
    """One run's figures; keys of N are decimal text, as JSON has them."""

    schema: Literal[1]
    n_problems: int
    failed: int
    grades: Grader
    curves: dict[str, dict[str, Point]]
    first_n: dict[str, dict[str, float]]
    truncated: float
    unanswered: float


class JoinedReport(TypedDict):
    """Several runs' figures, one by one and joined."""

    schema: Literal[1]
    runs: list[RunReport]
    joined: dict[str, dict[str, Point]]
    repeats: list[Repeats]
    """The spread between seeds of runs that differ by their seed alone."""


def summarise(run: Measured) -> RunReport:
    """One run's report, ready for JSON."""
    return {
        "schema": 1,
        "n_problems": len(run.problems),
        "failed": run.failed,
        "grades": run.grades,
        "curves": {
            selector: {str(n): point(at) for n, at in points.items()}
            for selector, points in run.points.items()
        },
        "first_n": {
            selector: {str(n): accuracy for n, accuracy in accuracies.items()}
            for selector, accuracies in run.first_n.items()
        },
        "truncated": run.truncated,
        "unanswered": run.unanswered,
    }


def join(runs: Sequence[Measured], studies: Sequence[Mapping[str, object]] = ()) -> JoinedReport:
    """Several runs' reports, their joined curves, and the spread between seeds.

    Runs that share an N are repetitions: each problem counts with its mean over them, so that the
    problem stays the unit of the interval. `studies` say what decided each run.
    """
    ats: dict[str, dict[int, list[At]]] = {}
    for run in runs:
        for selector, points in run.points.items():
            for n, at in points.items():
                ats.setdefault(selector, {}).setdefault(n, []).append(at)
    joined = {
        selector: {str(n): point(mean_at(points[n])) for n in sorted(points)}
        for selector, points in ats.items()
    }
    return {
        "schema": 1,
        "runs": [summarise(run) for run in runs],
        "joined": joined,
        "repeats": seed_spreads(runs, studies),
    }


def point(at: At) -> Point:
    """Accuracy over the problems at one N, with its interval."""
    interval = mean_interval(list(at.values.values()))
    tokens = [count for count in at.tokens.values() if count is not None]
    errors = [estimate.mc_stderr for estimate in at.estimates.values()]
    return {
        "accuracy": interval.mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "stderr": interval.stderr,
        "mc_stderr": math.hypot(*errors) / len(errors),
        "tokens": fmean(tokens) if len(tokens) == len(at.tokens) else None,
    }


def mean_at(ats: Sequence[At]) -> At:
    """Each problem's mean over the runs that have it."""
    names = list(dict.fromkeys(name for at in ats for name in at.estimates))
    return At(
        {
            name: _mean_estimate(at.estimates[name] for at in ats if name in at.estimates)
            for name in names
        },
        {name: _mean_tokens(at.tokens[name] for at in ats if name in at.tokens) for name in names},
    )


def _mean_estimate(estimates: Iterable[Estimate]) -> Estimate:
    values, errors = zip(*estimates, strict=True)
    return Estimate(fmean(values), math.hypot(*errors) / len(errors))


def _mean_tokens(tokens: Iterable[float | None]) -> float | None:
    counts = list(tokens)
    told = [count for count in counts if count is not None]
    return fmean(told) if len(told) == len(counts) else None
