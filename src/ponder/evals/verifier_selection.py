"""How well a verifier's scores choose among stored candidates, at each N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ponder.evals.bootstrap import Estimated, bootstrapped, drawn
from ponder.evals.graded import GradedProblem
from ponder.evals.intervals import paired_difference
from ponder.evals.measure import Measured
from ponder.evals.step_accuracy import auc
from ponder.evals.summary import Point, summarise

SCORED = ("best_of_n", "weighted")
"""The selectors that use scores."""


class Paired(TypedDict):
    """How much better one choice is than another on the same problems."""

    difference: float
    ci_low: float
    ci_high: float


class Fall(TypedDict):
    """Best of N from a smaller N to the whole pool."""

    from_n: int
    to_n: int
    difference: float
    """Below 0: more candidates make it worse."""
    ci_low: float
    ci_high: float
    """At 95 % over all the comparisons (Bonferroni); below 0: the fall is no chance."""


class SelectionResult(TypedDict):
    """What the verifier's scores choose, beside majority and oracle."""

    n_problems: int
    candidates: int
    failed: int
    """Candidates that could not be scored."""
    grades: str
    curves: dict[str, dict[str, Point]]
    """By selector and N, as in a report; without scored selectors where a problem has no score."""
    against_majority: dict[str, dict[str, Paired]]
    """By selector and N; empty where a rule stopped the samples of another selector early."""
    auc: Estimated
    """The chance that a right candidate scores above a wrong one, over all problems."""
    gamed: bool | None
    """Best of N falls as N grows: the verifier prefers what looks right. None: there is one N."""
    fall: Fall | None
    """The deepest one."""


def selection_result(measured: Measured, failed: int) -> SelectionResult:
    """The figures of candidates that are ranked by the verifier's scores."""
    report = summarise(measured)
    fall = _deepest_fall(measured)
    return {
        "n_problems": report["n_problems"],
        "candidates": sum(len(problem.candidates) for problem in measured.problems),
        "failed": failed,
        "grades": report["grades"],
        "curves": report["curves"],
        "against_majority": {
            selector: _against(measured, selector)
            for selector in SCORED
            if {selector, "majority"} <= report["curves"].keys()
        },
        "auc": _candidate_auc(measured.problems),
        "gamed": None if fall is None else fall["ci_high"] < 0,
        "fall": fall,
    }


def _against(measured: Measured, selector: str) -> dict[str, Paired]:
    points, votes = measured.points[selector], measured.points["majority"]
    return {str(n): _paired(points[n].values, votes[n].values) for n in points}


def _paired(first: Mapping[str, float], second: Mapping[str, float], level: float = 0.95) -> Paired:
    difference, low, high = paired_difference(first, second, level)
    return {"difference": difference, "ci_low": low, "ci_high": high}


def _deepest_fall(measured: Measured) -> Fall | None:
    """The whole pool's best of N against each smaller N's; the one whose interval is lowest."""
    points = measured.points.get("best_of_n", {})
    *smaller, most = sorted(points) or [0]
    if not smaller:
        return None
    level = 1 - 0.05 / len(smaller)
    falls: list[Fall] = [
        {
            "from_n": n,
            "to_n": most,
            **_paired(points[most].values, points[n].values, level),
        }
        for n in smaller
    ]
    return min(falls, key=lambda fall: fall["ci_high"])


def _candidate_auc(problems: Sequence[GradedProblem]) -> Estimated:
    told = [
        (problem.id, candidate.score, candidate.correct)
        for problem in problems
        for candidate in problem.candidates
        if candidate.score is not None
    ]
    if not told:
        return {"value": None, "ci_low": None, "ci_high": None}
    names, scores, correct = zip(*told, strict=True)
    return bootstrapped(auc(scores, correct), drawn(names)).estimated()
