"""What a policy is worth at each n: beside fixed choices at equal n, and at equal tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from ponder.evals.policies.equal_tokens import EqualTokens, at_equal_tokens
from ponder.evals.policies.halves import Difficulty, Folds, best_of_other_half, crossed, solved
from ponder.evals.policies.ladder import Ladder, Solved
from ponder.evals.policies.options import Option, Options
from ponder.evals.policies.rows import FitRow, fit_row
from ponder.search.policy import Choice


class FitAt(TypedDict):
    """What was found at one n."""

    n: int
    fixed: list[FitRow]
    """Each fixed choice of this n for all problems, the best first; it has no first samples."""
    best_fixed: FitRow | None
    """One of these for all problems, chosen on the other half; None where there is none."""
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
    equal_tokens: EqualTokens | None
    """None where the policy's tokens are not told."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the figures are made of."""

    options: Options
    levels: int
    halves: Folds
    first: Difficulty
    """By the first samples."""
    whole: Difficulty
    """By all samples of the run."""
    fixed: Sequence[Ladder]
    """Fixed choices."""

    def sizes(self, samples: int, choices: Mapping[int, Sequence[Choice]]) -> list[FitAt]:
        """Every n; `samples` are drawn first, `choices` are the policy's."""
        policy = self._policy(samples)
        return [self._at(n, policy, [choice.shown for choice in own]) for n, own in choices.items()]

    def _policy(self, samples: int) -> Ladder:
        """What choosing by the first samples solves at each n, the least being these alone."""
        options = {samples: self.options.at_first, **self.options.by_n}
        found = {n: self._solved(own, self.first) for n, own in options.items()}
        return Ladder("policy", tuple(found), found.__getitem__)

    def _solved(self, options: Sequence[Option], difficulty: Difficulty) -> Solved:
        return solved(crossed(options, difficulty, self.halves, self.levels))

    def _at(self, n: int, policy: Ladder, choices: list[str]) -> FitAt:
        options, own = self.options.by_n[n], policy.solved(n)
        row = partial(fit_row, own.values)
        fixed = {ladder.name: ladder.solved(n) for ladder in self.fixed if ladder.has(n)}
        rows = [row(name, found) for name, found in fixed.items()]
        halves = list(fixed.values()), self.halves
        best = row("best fixed choice", best_of_other_half(*halves)) if fixed else None
        most = {p: max(options, key=lambda o: o.values[p]) for p in self.options.problems}
        return {
            "n": n,
            "fixed": sorted(rows, key=lambda one: -one["accuracy"]),
            "best_fixed": best,
            "oracle_levels": row("by oracle level", self._solved(options, self.options.correct)),
            "predicted_levels": row("by predicted level", self._solved(options, self.whole)),
            "first_samples": row("by the first samples", own),
            "oracle_choice": row("best for each problem", solved(most)),
            "better": best is not None and best["gain_low"] > 0,
            "choices": choices,
            "equal_tokens": at_equal_tokens(policy, n, self.fixed, self.halves)
            if policy.told
            else None,
        }
