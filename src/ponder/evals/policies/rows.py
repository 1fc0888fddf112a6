"""One way to choose beside the policy: what it gets right, what it costs, how much is gained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from ponder.evals.intervals import mean_interval, paired_difference
from ponder.evals.policies.ladder import Solved


class FitRow(TypedDict):
    """One way to choose, over all problems."""

    name: str
    accuracy: float
    ci_low: float
    ci_high: float
    tokens: float | None
    """Mean of generated tokens a problem; None when any is not told."""
    gain: float
    """How much better the policy is: choosing by the first samples, less this, paired."""
    gain_low: float
    gain_high: float


def fit_row(policy: Mapping[str, float], name: str, solved: Solved) -> FitRow:
    """One way to choose, and how much better the policy's values are."""
    interval = mean_interval(list(solved.values.values()))
    gain = paired_difference(policy, solved.values)
    return {
        "name": name,
        "accuracy": interval.mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "tokens": solved.mean_tokens,
        "gain": gain.difference,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }
