"""Compute-optimal scaling (Snell et al. 2024, section 3): a policy, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Literal, TypedDict

from ponder.errors import UsageError
from ponder.evals.cross_fitting import (
    Difficulty,
    Folds,
    choices_of,
    crossed,
    folds,
    level_edges,
    values_of,
)
from ponder.evals.fit_options import FittedRun, Option, Options, options_of
from ponder.evals.intervals import mean_interval, paired_difference
from ponder.search.difficulty import LEVELS
from ponder.search.policy import Measure, Policy
from ponder.search.selection import Aggregation


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


class FitAt(TypedDict):
    """What was found at one n."""

    n: int
    fixed: list[FitRow]
    """Each choice for all problems, the best first."""
    best_fixed: FitRow
    """One choice for all problems, made on the other half."""
    oracle_levels: FitRow
    """By the share of right samples, which nobody knows beforehand."""
    predicted_levels: FitRow
    """By what all samples of the run predict, whose cost is not counted here."""
    first_samples: FitRow
    """By what the first samples predict: what the policy does."""
    oracle_choice: FitRow
    """The best choice for each problem: no choice by level can pass it."""
    better: bool
    """The gain over `best_fixed` has an interval above 0; else a fixed choice is no worse."""
    choices: list[str]
    """Of the policy, easiest level first, made on all problems."""


class FitReport(TypedDict):
    """What `ponder fit --json` prints."""

    schema: Literal[1]
    n_problems: int
    levels: int
    samples: int
    measure: Measure
    edges: list[float]
    sizes: list[FitAt]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A policy, and what it is worth."""

    policy: Policy
    report: FitReport


def fit(
    runs: Sequence[FittedRun],
    *,
    samples: int = 4,
    levels: int = LEVELS,
    measure: Measure | None = None,
    aggregation: Aggregation = "last",
    seed: int = 0,
) -> Fitted:
    """Choose by difficulty among what the runs did.

    `samples` are drawn first and predict the level, by the verifier's mean score where every
    problem has one unless `measure` says otherwise. `seed` splits the problems. Raises UsageError.
    """
    if samples < 1 or levels < 1:
        raise UsageError(f"`samples` and `levels` must be at least 1, got {samples} and {levels}")
    options = options_of(runs, samples)
    used: Measure = measure or ("score" if options.scored else "agreement")
    if used == "score" and not options.scored:
        raise UsageError("not every problem has a scored sample: use the measure agreement")
    predicts = Policy(samples, used, aggregation, (), {})
    first: Difficulty = {p: predicts.value(options.votes[p][:samples]) for p in options.problems}
    whole: Difficulty = {p: predicts.value(options.votes[p]) for p in options.problems}
    edges = level_edges(first, options.problems, levels)
    choices = {n: choices_of(o, first, options.problems, edges) for n, o in options.by_n.items()}
    figures = _Figures(options, levels, folds(options.problems, seed))
    sizes = [figures.at(n, first, whole, [c.shown for c in choices[n]]) for n in options.by_n]
    return Fitted(
        Policy(samples, used, aggregation, edges, choices),
        {
            "schema": 1,
            "n_problems": len(options.problems),
            "levels": levels,
            "samples": samples,
            "measure": used,
            "edges": list(edges),
            "sizes": sizes,
        },
    )


@dataclass(frozen=True, slots=True)
class _Figures:
    """The figures at each n."""

    options: Options
    levels: int
    folds: Folds

    def at(self, n: int, first: Difficulty, whole: Difficulty, choices: list[str]) -> FitAt:
        options, problems = self.options.by_n[n], self.options.problems
        policy = self._crossed(n, first, self.levels)
        row = partial(_row, values_of(policy))
        fixed = [row(o.choice.shown, dict.fromkeys(problems, o)) for o in options]
        best = row("best fixed choice", self._crossed(n, first, 1))
        predicted, oracle = (self._crossed(n, told, self.levels) for told in (whole, self.correct))
        most = {p: max(options, key=lambda o: o.values[p]) for p in problems}
        return {
            "n": n,
            "fixed": sorted(fixed, key=lambda one: -one["accuracy"]),
            "best_fixed": best,
            "oracle_levels": row("by oracle level", oracle),
            "predicted_levels": row("by predicted level", predicted),
            "first_samples": row("by the first samples", policy),
            "oracle_choice": row("best for each problem", most),
            "better": best["gain_low"] > 0,
            "choices": choices,
        }

    @property
    def correct(self) -> Difficulty:
        return self.options.correct

    def _crossed(self, n: int, difficulty: Difficulty, levels: int) -> dict[str, Option]:
        return crossed(self.options.by_n[n], difficulty, self.folds, levels)


def _row(policy: Mapping[str, float], name: str, chosen: Mapping[str, Option]) -> FitRow:
    """One way to choose, and how much better the policy's values are."""
    interval = mean_interval(list(values_of(chosen).values()))
    gain = paired_difference(policy, values_of(chosen))
    tokens = [option.tokens[problem] for problem, option in chosen.items()]
    told = [count for count in tokens if count is not None]
    return {
        "name": name,
        "accuracy": interval.mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "tokens": fmean(told) if len(told) == len(tokens) else None,
        "gain": gain.difference,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }
