"""A run's figures, and those of several runs joined: what `ponder report --json` prints."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal, TypedDict

from ponder.evals.costs import Costs, mean_costs
from ponder.evals.graded import Estimate
from ponder.evals.intervals import mean_interval
from ponder.evals.measure import At, Measured, Points
from ponder.evals.outcomes import Grader
from ponder.evals.repeats import Repeats, method_of, seed_spreads


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


Curves = dict[str, dict[str, Point]]
"""By selector and N; keys of N are decimal text, as JSON has them."""


class PartReport(TypedDict):
    """The problems of one level or subject."""

    n_problems: int
    curves: Curves


class SubtreeReport(TypedDict):
    """What fewer subtrees of the same DVTS would have chosen: never a curve over candidates."""

    width: int
    """Candidates of a subtree: N are multiples of it."""
    curves: Curves


class RunReport(TypedDict):
    """One run's figures."""

    schema: Literal[1]
    n_problems: int
    """The finished ones, which all figures are of."""
    n_asked: int
    """Those that the run holds: more than `n_problems` where it is unfinished."""
    failed: int
    grades: Grader
    curves: Curves
    first_n: dict[str, dict[str, float]]
    truncated: float
    unanswered: float
    """Shares of candidates; 0 without any."""
    costs: dict[str, Costs]
    """By N."""
    levels: dict[str, PartReport]
    """By level, in natural order; empty where the data set tells none."""
    subjects: dict[str, PartReport]
    subtrees: SubtreeReport | None
    """None for all but a DVTS that no budget cut."""


class JoinedReport(TypedDict):
    """Several runs' figures, one by one and joined."""

    schema: Literal[1]
    runs: list[RunReport]
    joined: Curves
    """Of runs of one method, at each n, over all seeds; empty where the runs differ otherwise."""
    repeats: list[Repeats]
    """The spread between seeds of runs that differ by their seed alone."""


def summarise(run: Measured) -> RunReport:
    """One run's report, ready for JSON."""
    return {
        "schema": 1,
        "n_problems": len(run.problems),
        "n_asked": run.asked,
        "failed": run.failed,
        "grades": run.grades,
        "curves": _curves(run.points),
        "first_n": {
            selector: {str(n): accuracy for n, accuracy in accuracies.items()}
            for selector, accuracies in run.first_n.items()
        },
        "truncated": run.truncated or 0.0,
        "unanswered": run.unanswered or 0.0,
        "costs": costs_of(run),
        "levels": _parts(run, {problem.id: problem.level for problem in run.problems}),
        "subjects": _parts(run, {problem.id: problem.subject for problem in run.problems}),
        "subtrees": run.subtrees
        and {"width": run.subtrees.width, "curves": _curves(run.subtrees.points)},
    }


def _curves(points: Points) -> Curves:
    return {
        selector: {str(n): point(at) for n, at in own.items()} for selector, own in points.items()
    }


def costs_of(run: Measured) -> dict[str, Costs]:
    """What a problem cost on average at each N that has figures."""
    sizes = sorted({n for points in run.points.values() for n in points})
    return {str(n): mean_costs(list(run.costs_at(n).values()), run.costing) for n in sizes}


def _parts(run: Measured, named: Mapping[str, str | None]) -> dict[str, PartReport]:
    """The problems of each name apart; a problem without one is in no part."""
    members: dict[str, set[str]] = {}
    for problem, name in named.items():
        if name is not None:
            members.setdefault(name, set()).add(problem)
    return {name: _part(run, members[name]) for name in sorted(members, key=natural)}


def _part(run: Measured, names: Collection[str]) -> PartReport:
    points = {
        selector: {n: at.only(names) for n, at in own.items()}
        for selector, own in run.points.items()
    }
    return {"n_problems": len(names), "curves": _curves(points)}


def natural(name: str) -> list[tuple[bool, int, str]]:
    """The sort key that puts 4 before 16."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def join(runs: Sequence[Measured], studies: Sequence[Mapping[str, object]] = ()) -> JoinedReport:
    """Several runs' reports, their joined curves, and the spread between seeds.

    Runs of one method that share an N are repetitions: each problem counts with its mean over them,
    so that the problem stays the unit of the interval. `studies` say what decided each run; without
    them the runs are taken to be of one method.
    """
    methods = {method_of(study) for study in studies}
    one = not studies or (len(methods) == 1 and None not in methods)
    ats: dict[str, dict[int, list[At]]] = {}
    for run in runs if one else ():
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
