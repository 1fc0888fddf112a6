"""What a policy is worth at each n: beside fixed choices at equal n, and at equal tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from ponder.evals.cross_fitting import Difficulty, Folds, crossed, solved
from ponder.evals.equal_tokens import EqualTokens, at_equal_tokens
from ponder.evals.fit_options import Option, Options
from ponder.evals.fit_rows import FitRow, fit_row
from ponder.evals.fixed_choices import FixedChoices
from ponder.evals.ladder import Ladder, Solved
from ponder.search.policy import Choice


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
    """By what the first samples predict: what the policy does. Its tokens are those of the choices,
    and of the first samples where a search is chosen, which does not use them here."""
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
    fixed: FixedChoices

    def sizes(self, samples: int, choices: Mapping[int, Sequence[Choice]]) -> list[FitAt]:
        """Every n; `samples` are drawn first, `choices` are the policy's."""
        policy = self._policy(samples)
        return [self._at(n, policy, [choice.shown for choice in own]) for n, own in choices.items()]

    def _policy(self, samples: int) -> Ladder:
        """What choosing by the first samples solves at each n, the least being these alone."""
        options = {samples: self.options.at_first, **self.options.by_n}
        found = {n: self._paid(self._chosen(own, self.first)) for n, own in options.items() if own}
        return Ladder("policy", tuple(found), found.__getitem__)

    def _chosen(self, options: Sequence[Option], difficulty: Difficulty) -> dict[str, Option]:
        return crossed(options, difficulty, self.halves, self.levels)

    def _paid(self, chosen: Mapping[str, Option]) -> Solved:
        """With the first samples, which a search here does not use."""
        values, told = solved(chosen)
        tokens = dict(told)
        for problem, option in chosen.items():
            own, first = tokens[problem], self.options.first_tokens[problem]
            if option.choice.strategy != "sample":
                tokens[problem] = None if own is None or first is None else own + first
        return Solved(values, tokens)

    def _at(self, n: int, policy: Ladder, choices: list[str]) -> FitAt:
        options, own = self.options.by_n[n], policy.solved(n)
        row = partial(fit_row, own.values)
        fixed = [row(o.choice.shown, Solved(o.values, o.tokens)) for o in options]
        best = row("best fixed choice", solved(crossed(options, self.first, self.halves, 1)))
        most = {p: max(options, key=lambda o: o.values[p]) for p in self.options.problems}
        predicted = solved(self._chosen(options, self.whole))
        oracle = solved(self._chosen(options, self.options.correct))
        equal = at_equal_tokens(policy, n, *self.fixed, self.halves) if policy.told else None
        return {
            "n": n,
            "fixed": sorted(fixed, key=lambda one: -one["accuracy"]),
            "best_fixed": best,
            "oracle_levels": row("by oracle level", oracle),
            "predicted_levels": row("by predicted level", predicted),
            "first_samples": row("by the first samples", own),
            "oracle_choice": row("best for each problem", solved(most)),
            "better": best["gain_low"] > 0,
            "choices": choices,
            "equal_tokens": equal,
        }
