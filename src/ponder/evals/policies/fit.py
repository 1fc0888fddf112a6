"""Compute-optimal scaling (Snell et al. 2024, section 3): a policy, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from ponder.errors import UsageError
from ponder.evals.policies.figures import Figures, FitAt
from ponder.evals.policies.fixed import fixed_choices
from ponder.evals.policies.halves import Difficulty, choices_of, folds, level_edges
from ponder.evals.policies.options import options_of
from ponder.evals.policies.runs import FittedRun, distinct
from ponder.search.difficulty import LEVELS
from ponder.search.policy import Measure, Policy, fitted_on


class FitReport(TypedDict):
    """What `ponder fit --json` prints."""

    schema: Literal[1]
    n_problems: int
    levels: int
    samples: int
    measure: Measure
    edges: list[float]
    notes: list[str]
    """Choices that are not there, and what may not hold."""
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
    seed: int = 0,
) -> Fitted:
    """Choose by difficulty among what the runs did.

    `samples` are drawn first and predict the level, by the verifier's mean score where every
    problem has one unless `measure` says otherwise. `seed` splits the problems. Raises UsageError.
    """
    if samples < 1 or levels < 1:
        raise UsageError(f"`samples` and `levels` must be at least 1, got {samples} and {levels}")
    runs, left_out = distinct(runs)
    options = options_of(runs, samples)
    used: Measure = measure or ("score" if options.scored else "agreement")
    if used == "score" and not options.scored:
        raise UsageError("not every problem has a scored sample: use the measure agreement")
    how = options.base.aggregation
    predicts = Policy(samples, used, how, (), {})
    first: Difficulty = {p: predicts.value(options.first[p]) for p in options.problems}
    whole: Difficulty = {p: predicts.value(options.votes[p]) for p in options.problems}
    edges = level_edges(first, options.problems, levels)
    choices = {n: choices_of(o, first, options.problems, edges) for n, o in options.by_n.items()}
    figures = Figures(
        options,
        levels,
        folds(options.problems, seed),
        first,
        whole,
        fixed_choices(runs, options.problems),
    )
    return Fitted(
        Policy(samples, used, how, edges, choices, fitted_on(options.base.study)),
        {
            "schema": 1,
            "n_problems": len(options.problems),
            "levels": levels,
            "samples": samples,
            "measure": used,
            "edges": list(edges),
            "notes": [*left_out, *options.notes],
            "sizes": figures.sizes(samples, choices),
        },
    )
