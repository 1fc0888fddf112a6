"""Compute-optimal scaling (Snell et al. 2024, section 3): a policy, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    difference: float
    """`first_samples` less `best_fixed`."""
    ci_low: float
    ci_high: float
    better: bool
    """The interval lies above 0; else a fixed choice is no worse."""
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
        options = self.options.by_n[n]
        fixed = [
            self._row(o.choice.shown, dict.fromkeys(self.options.problems, o)) for o in options
        ]
        by_first = self._crossed(n, first, self.levels)
        best = self._crossed(n, first, 1)
        between = paired_difference(values_of(by_first), values_of(best))
        correct = self.options.correct
        return {
            "n": n,
            "fixed": sorted(fixed, key=lambda row: -row["accuracy"]),
            "best_fixed": self._row("best fixed choice", best),
            "oracle_levels": self._row("by oracle level", self._crossed(n, correct, self.levels)),
            "predicted_levels": self._row(
                "by predicted level", self._crossed(n, whole, self.levels)
            ),
            "first_samples": self._row("by the first samples", by_first),
            "oracle_choice": self._row(
                "best for each problem",
                {p: max(options, key=lambda o: o.values[p]) for p in self.options.problems},
            ),
            "difference": between.difference,
            "ci_low": between.low,
            "ci_high": between.high,
            "better": between.low > 0,
            "choices": choices,
        }

    def _crossed(self, n: int, difficulty: Difficulty, levels: int) -> dict[str, Option]:
        return crossed(self.options.by_n[n], difficulty, self.folds, levels)

    def _row(self, name: str, chosen: Mapping[str, Option]) -> FitRow:
        interval = mean_interval(list(values_of(chosen).values()))
        tokens = [option.tokens[problem] for problem, option in chosen.items()]
        told = [count for count in tokens if count is not None]
        return {
            "name": name,
            "accuracy": interval.mean,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "tokens": fmean(told) if len(told) == len(tokens) else None,
        }
