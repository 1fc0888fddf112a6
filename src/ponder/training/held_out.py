"""What a head is worth on problems that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple, TypedDict

import numpy as np

from ponder.evals.bootstrap import Estimated
from ponder.evals.intervals import paired_difference
from ponder.evals.measure import Measured, measure
from ponder.evals.stored_mix import sharpened
from ponder.evals.summary import Point, summarise
from ponder.trace import Trace
from ponder.training.graded_runs import GradedRun
from ponder.training.learning_rows import ReadProblem, StepLabels
from ponder.training.metrics import (
    Bin,
    Judged,
    area_of,
    area_within,
    auc_of,
    auc_within,
    reliability,
)
from ponder.training.rows import Matrix, Vector
from ponder.types import ScoreFailure, StepScores

NAME = "value-head"
"""The scores' name among the candidates'."""

TEMPERATURES = (1.0, 0.7, 0.5, 0.35, 0.25)
"""At which weighted voting is tried: see `ponder.evals.stored_mix`."""

Predict = Callable[[Matrix], Vector]
"""Features [steps, features] to probabilities [steps]."""


class Figures(TypedDict):
    """How well scores tell right from wrong."""

    items: int
    base_rate: float
    auc: Estimated
    brier: float
    brier_of_base_rate: float
    """Of a score that is always the training problems' base rate."""
    reliability: list[Bin]


class SolutionFigures(Figures):
    """The same of whole solutions, by the score of their last step."""

    auc_within: Estimated
    """Within problems: what choosing among samples of one problem can use."""


class Gain(TypedDict):
    """Weighted voting minus majority voting on the same samples."""

    n: int
    difference: float
    low: float
    high: float


class Selection(TypedDict):
    """What selecting by the head's scores gives on one run's held-out problems."""

    problems: int
    curves: dict[str, dict[str, Point]]
    """By selector and N, as in a run's report."""
    weighted_minus_majority: Gain | None
    """At the largest N; None where a problem has no score, or a rule stopped the samples early."""


class Voting(TypedDict):
    """Accuracy on one run's samples, at its largest N."""

    majority: float | None
    """None where another selector's rule stopped the samples early; so for the other."""
    weighted: dict[str, float]
    """By the temperature of the scores."""


class HeldOut(TypedDict):
    """The figures of a head, all of held-out problems."""

    problems: int
    steps: Figures
    solutions: SolutionFigures
    better_than_chance: bool
    """The interval of the solutions' AUC lies above 0.5; not where there are too few problems for
    one."""
    better_within_problems: bool | None
    """The interval of the same within problems does: a head that only tells hard problems from
    easy ones cannot choose. None where no problem ended both ways."""
    selection: dict[str, Selection]
    """By run."""


class Predicted(NamedTuple):
    """A problem that a head was not taught, and what the head says of its steps."""

    problem: ReadProblem
    scores: Vector
    """[steps], NaN for those that could not be read."""


def predicted(problems: Sequence[ReadProblem], predict: Predict) -> list[Predicted]:
    """What one head says of these problems."""
    return [Predicted(problem, _scores(problem, predict)) for problem in problems]


def judge(
    told: Sequence[Predicted],
    runs: Sequence[GradedRun],
    *,
    labels: StepLabels | None,
    base_rate: float,
    seed: int,
) -> HeldOut:
    """The figures on these problems: candidates that count, as they were drawn.

    Scores of several heads, each on its own problems, are compared as they are: all of them are
    probabilities. `base_rate` is the training problems'. Steps are judged by what they were
    trained on: the outcome of their solution, or their label where there is one.
    """
    steps = _judged_steps(told, labels)
    solutions = _judged_solutions(told)
    area, within = auc_of(solutions, seed), auc_within(solutions, seed)
    return {
        "problems": len({problem.number for problem, _ in told}),
        "steps": _figures(steps, base_rate, auc_of(steps, seed)),
        "solutions": {
            **_figures(solutions, base_rate, area),
            "auc_within": within,
        },
        "better_than_chance": _above_chance(area),
        "better_within_problems": None if within["value"] is None else _above_chance(within),
        "selection": {
            str(run.folder): _selection(run, own, seed) for run, own in _by_run(told, runs)
        },
    }


def voting(told: Sequence[Predicted], runs: Sequence[GradedRun], seed: int) -> dict[str, Voting]:
    """Weighted voting at several temperatures on each run's problems among these, by its folder."""
    return {str(run.folder): _voting(run, own, seed) for run, own in _by_run(told, runs)}


def _voting(run: GradedRun, own: Sequence[Predicted], seed: int) -> Voting:
    measured = {heat: _measured(run, own, seed, heat) for heat in TEMPERATURES}
    return {
        "majority": _accuracy(measured[1.0], "majority"),
        "weighted": {
            f"{heat:g}": accuracy
            for heat, found in measured.items()
            if (accuracy := _accuracy(found, "weighted")) is not None
        },
    }


def _accuracy(measured: Measured, selector: str) -> float | None:
    if not measured.points.get(selector):
        return None
    _, at = measured.at(selector)
    return fmean(at.values.values())


def _by_run(
    told: Sequence[Predicted], runs: Sequence[GradedRun]
) -> Iterator[tuple[GradedRun, list[Predicted]]]:
    for run in runs:
        own = [one for one in told if _of(run, one.problem)]
        if own:
            yield run, own


def solution_areas(told: Sequence[Predicted]) -> tuple[float | None, float | None]:
    """The AUC of solutions by their last step: over all, and within problems; None: not told."""
    judged = _judged_solutions(told)
    return area_of(judged), area_within(judged)


def _scores(problem: ReadProblem, predict: Predict) -> Vector:
    readable = np.isfinite(problem.features).all(axis=1)
    scores = np.full(len(problem.features), np.nan)
    if readable.any():
        scores[readable] = predict(problem.features[readable])
    return scores


def _judged_steps(told: Sequence[Predicted], labels: StepLabels | None) -> Judged:
    items: list[tuple[float, float, int]] = []
    for problem, own in told:
        tree = problem.problem.steps
        for candidate in problem.problem.counted:
            way, right = tree.ways[candidate], problem.problem.right[candidate]
            for step in way:
                key = (problem.problem.id, tree.paths[step])
                known = None if labels is None or step == way[-1] else labels.get(key)
                items.append((own[step], right if known is None else known, problem.number))
    return _judged(items)


def _judged_solutions(told: Sequence[Predicted]) -> Judged:
    return _judged(
        [
            (own[problem.problem.steps.ways[c][-1]], problem.problem.right[c], problem.number)
            for problem, own in told
            for c in problem.problem.counted
        ]
    )


def _judged(items: Sequence[tuple[float, float, int]]) -> Judged:
    told = [item for item in items if np.isfinite(item[0])]
    scores, right, numbers = np.array(told, dtype=np.float64).reshape(-1, 3).T
    return Judged(scores, right, numbers.astype(np.int64))


def _figures(judged: Judged, base_rate: float, area: Estimated) -> Figures:
    return {
        "items": len(judged.scores),
        "base_rate": float(judged.right.mean()),
        "auc": area,
        "brier": judged.brier(),
        "brier_of_base_rate": judged.brier_of(base_rate),
        "reliability": reliability(judged),
    }


def _above_chance(area: Estimated) -> bool:
    """Its interval lies above 0.5; not without an interval."""
    return area["ci_low"] is not None and area["ci_low"] > 0.5


def _of(run: GradedRun, problem: ReadProblem) -> bool:
    return any(own is problem.problem for own in run.problems)


def _selection(run: GradedRun, own: Sequence[Predicted], seed: int) -> Selection:
    measured = _measured(run, own, seed)
    return {
        "problems": len(own),
        "curves": summarise(measured)["curves"],
        "weighted_minus_majority": _gain(measured),
    }


def _measured(
    run: GradedRun, own: Sequence[Predicted], seed: int, temperature: float = 1.0
) -> Measured:
    return measure(
        [problem.problem.example for problem, _ in own],
        [_scored(problem, values, temperature) for problem, values in own],
        imported=run.grades if run.grader == "imported" else {},
        ours=run.grades if run.grader == "ours" else {},
        grader=run.grader,
        score=NAME,
        seed=seed,
    )


def _scored(problem: ReadProblem, scores: Vector, temperature: float) -> Trace:
    """The problem's trace with the head's scores, and no others, on its candidates."""
    trace, tree = problem.problem.trace, problem.problem.steps
    told = sharpened([_told(scores[list(way)]) for way in tree.ways], temperature)
    candidates = [
        replace(candidate, scores={NAME: None if isinstance(own, ScoreFailure) else own.scores})
        for candidate, own in zip(trace.candidates, told, strict=True)
    ]
    return replace(trace, candidates=tuple(candidates))


def _told(scores: Vector) -> StepScores | ScoreFailure:
    """A failure for a solution without steps, or with one that could not be read."""
    if len(scores) and np.isfinite(scores).all():
        return StepScores(tuple(scores.tolist()))
    return ScoreFailure("not read")


def _gain(measured: Measured) -> Gain | None:
    points = measured.points
    if not points.get("weighted") or "majority" not in points:
        return None
    n = max(points["weighted"])
    gap = paired_difference(points["weighted"][n].values, points["majority"][n].values)
    return {"n": n, "difference": gap.difference, "low": gap.low, "high": gap.high}
