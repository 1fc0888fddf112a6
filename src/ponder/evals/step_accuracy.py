"""PRM800K: does a verifier tell right steps from wrong ones? After Lightman et al. (2023).

Each row is a step after others, rated by people: 1 (right) and 0 (right, leads nowhere) are
positive, -1 (wrong) is negative. Steps without a rating are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, TypedDict

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ponder.evals.bootstrap import (
    Estimated,
    Statistic,
    Values,
    Weights,
    bootstrapped,
    drawn,
    quotient,
    ratio,
)
from ponder.evals.rows import Row, checked


class RatedStep(BaseModel):
    """One row: a step after others, and its rating."""

    model_config = ConfigDict(frozen=True, strict=True)

    instruction: str
    """The problem."""
    responses: Annotated[tuple[str, ...], Field(strict=False)]
    """The steps before."""
    next_response: str
    rating: Literal[-1, 0, 1] | None

    @property
    def positive(self) -> bool:
        """The step is not wrong."""
        return self.rating is not None and self.rating >= 0


class ScoredStep(NamedTuple):
    """A rated step with its score; None: it could not be scored, and counts as misjudged."""

    step: RatedStep
    score: float | None


class StepResult(TypedDict):
    """How well the scores tell right from wrong steps."""

    steps: int
    positive: int
    failed: int
    """Steps that could not be scored."""
    unrated: int
    """Rows left out."""
    accuracy: Estimated
    balanced_accuracy: Estimated
    """Mean of the accuracies on positive and on negative steps: 0.5 is no better than chance."""
    auc: Estimated
    """The chance that a positive step scores above a negative one, a tie counting half; over the
    steps that could be scored."""


def rated_steps(rows: Sequence[Row]) -> list[RatedStep]:
    """The rows of a PRM800K file; raises UsageError naming the row and the key."""
    return [checked(row, RatedStep) for row in rows]


def step_result(scored: Sequence[ScoredStep], threshold: float, unrated: int) -> StepResult:
    """The figures, with intervals over problems; a step counts as right from `threshold` on."""
    positive = [one.step.positive for one in scored]
    negative = [not sign for sign in positive]
    right = [
        one.score is not None and (one.score >= threshold) == one.step.positive for one in scored
    ]
    draws = drawn([one.step.instruction for one in scored])
    told = [place for place, one in enumerate(scored) if one.score is not None]
    ranked = auc(
        [one.score for one in scored if one.score is not None],
        [positive[place] for place in told],
    )
    everything = ratio(right, [True] * len(scored))
    balanced = _mean(ratio(right, positive), ratio(right, negative))
    return {
        "steps": len(scored),
        "positive": sum(positive),
        "failed": len(scored) - len(told),
        "unrated": unrated,
        "accuracy": bootstrapped(everything, draws).estimated(),
        "balanced_accuracy": bootstrapped(balanced, draws).estimated(),
        "auc": bootstrapped(ranked, draws.of(told)).estimated(),
    }


def auc(scores: Sequence[float], positive: Sequence[bool]) -> Statistic:
    """The area under the ROC curve: P(positive scores higher) + P(equal) / 2."""
    order = np.argsort(scores)
    values, signs = np.array(scores)[order], np.array(positive, dtype=np.float64)[order]
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf))  # equal scores are one group

    def area(weights: Weights) -> Values:
        if not len(starts):
            return np.full(len(weights), np.nan)
        ordered = weights[:, order]
        above = np.add.reduceat(ordered * signs, starts, axis=1)
        below = np.add.reduceat(ordered * (1 - signs), starts, axis=1)
        lower = np.cumsum(below, axis=1) - below / 2
        pairs = above.sum(axis=1) * below.sum(axis=1)
        return quotient((above * lower).sum(axis=1), pairs)

    return area


def _mean(first: Statistic, second: Statistic) -> Statistic:
    def mean(weights: Weights) -> Values:
        return (first(weights) + second(weights)) / 2

    return mean
