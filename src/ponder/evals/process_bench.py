"""ProcessBench: does a verifier find the first wrong step? After Zheng et al. (2024), section 4.

A solution's label is the index of its first wrong step, from 0, or -1. The prediction is the
first step that scores below a threshold, or -1. F1 is the harmonic mean of the accuracy on
erroneous solutions (the very index) and on correct ones, for each subset by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple, TypedDict

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ponder.evals.bootstrap import (
    Bootstrapped,
    Estimated,
    Statistic,
    Values,
    Weights,
    bootstrapped,
    drawn,
    ratio,
)
from ponder.evals.rows import Row, checked

TUNED_ON: Final = "gsm8k"
"""The subset that the threshold is chosen on."""


class BenchSolution(BaseModel):
    """One row: a solution and its first wrong step."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: Annotated[str, Field(min_length=1)]
    """The subset and a number: "gsm8k-17"."""
    problem: str
    steps: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    label: Annotated[int, Field(ge=-1)]

    @model_validator(mode="after")
    def _names_a_step(self) -> BenchSolution:
        if self.label >= len(self.steps):
            raise ValueError(f"`label` {self.label} names none of {len(self.steps)} steps")
        return self

    @property
    def subset(self) -> str:
        """What is averaged over."""
        return self.id.rpartition("-")[0] or self.id


class Judged(NamedTuple):
    """A solution with its step scores; None: it could not be scored, and counts as missed."""

    solution: BenchSolution
    scores: tuple[float, ...] | None


class SubsetResult(TypedDict):
    """One subset's figures."""

    erroneous: int
    """Solutions with a wrong step."""
    correct: int
    failed: int
    """Solutions that could not be scored."""
    accuracy_erroneous: Estimated
    accuracy_correct: Estimated
    f1: Estimated
    tuned: bool
    """The threshold was chosen for this very figure."""


class BenchResult(TypedDict):
    """ProcessBench's figures."""

    subsets: dict[str, SubsetResult]
    average_f1: Estimated
    """The plain mean over subsets."""


def solutions(rows: Sequence[Row]) -> list[BenchSolution]:
    """The rows of a ProcessBench file; raises UsageError naming the row and the key."""
    return [checked(row, BenchSolution) for row in rows]


def predicted(scores: Sequence[float], threshold: float) -> int:
    """The first step that scores below the threshold, or -1."""
    return next((step for step, score in enumerate(scores) if score < threshold), -1)


def best_threshold(judged: Sequence[Judged], low: float, high: float) -> float:
    """The threshold of the greatest F1; the lowest of equals, midway between scores.

    A solution is found for the thresholds in one interval: above the score of its wrong step, up
    to the least score before that. So F1 changes at these ends only, and all of it is seen.
    """
    erroneous, correct = _found(judged, erroneous=True), _found(judged, erroneous=False)
    ends = np.concatenate([erroneous.ravel(), correct.ravel(), [high]])
    tried = np.unique(np.clip(ends, low, high))
    f1 = _harmonic(_share_found(erroneous, tried), _share_found(correct, tried))
    best = int(np.argmax(f1))
    below = tried[best - 1] if best else low
    middle = float((below + tried[best]) / 2)
    return middle if middle > below else float(tried[best])


def bench_result(judged: Sequence[Judged], threshold: float, *, tuned: bool) -> BenchResult:
    """The figures at one threshold, with intervals over problems; the threshold is taken as given.

    `tuned`: it was chosen on the subset `TUNED_ON`.
    """
    names = dict.fromkeys(one.solution.subset for one in judged)
    found = {
        name: _found_steps([one for one in judged if one.solution.subset == name], threshold)
        for name in names
    }
    f1s = [own.f1 for own in found.values()]
    average = Bootstrapped(
        float(np.mean([f1.value for f1 in f1s])),
        np.mean([f1.draws for f1 in f1s], axis=0),
        min(f1.clusters for f1 in f1s),
    )
    return {
        "subsets": {
            name: own.result(tuned=tuned and name == TUNED_ON) for name, own in found.items()
        },
        "average_f1": average.estimated(),
    }


class _Found(NamedTuple):
    """One subset's figures with their draws."""

    judged: Sequence[Judged]
    erroneous: Bootstrapped
    correct: Bootstrapped
    f1: Bootstrapped

    def result(self, *, tuned: bool) -> SubsetResult:
        erroneous = sum(one.solution.label >= 0 for one in self.judged)
        return {
            "erroneous": erroneous,
            "correct": len(self.judged) - erroneous,
            "failed": sum(one.scores is None for one in self.judged),
            "accuracy_erroneous": self.erroneous.estimated(),
            "accuracy_correct": self.correct.estimated(),
            "f1": self.f1.estimated(),
            "tuned": tuned,
        }


def _found_steps(judged: Sequence[Judged], threshold: float) -> _Found:
    draws = drawn([one.solution.problem for one in judged])
    right = [
        one.scores is not None and predicted(one.scores, threshold) == one.solution.label
        for one in judged
    ]
    wrong = [one.solution.label >= 0 for one in judged]
    found, passed = ratio(right, wrong), ratio(right, [not error for error in wrong])
    figures = (bootstrapped(figure, draws) for figure in (found, passed, _f1(found, passed)))
    return _Found(judged, *figures)


def _f1(first: Statistic, second: Statistic) -> Statistic:
    def f1(weights: Weights) -> Values:
        return _harmonic(first(weights), second(weights))

    return f1


def _harmonic(first: Values, second: Values) -> Values:
    """The harmonic means, 0 where both are 0."""
    total = first + second
    return np.where(total == 0, 0.0, 2 * first * second / np.where(total == 0, 1.0, total))


def _found(judged: Sequence[Judged], *, erroneous: bool) -> Values:
    """A row a solution: above which threshold, and up to which, it is found; equal: never."""
    rows = [_interval(one) for one in judged if (one.solution.label >= 0) == erroneous]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _interval(judged: Judged) -> tuple[float, float]:
    if judged.scores is None:
        return 0.0, 0.0
    label = judged.solution.label
    if label < 0:
        return -np.inf, min(judged.scores)
    before = min(judged.scores[:label], default=np.inf)
    return min(judged.scores[label], before), before


def _share_found(intervals: Values, thresholds: Values) -> Values:
    """The share of the intervals that hold each threshold."""
    above, upto = np.sort(intervals, axis=0).T
    inside = np.searchsorted(above, thresholds) - np.searchsorted(upto, thresholds)
    return np.asarray(inside / max(len(intervals), 1))
