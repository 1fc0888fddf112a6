"""Everything that is counted of a run: from traces and grades alone, no model is called."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.evals import curves, subtrees
from ponder.evals.costs import Costing
from ponder.evals.graded import Estimate, GradedProblem
from ponder.evals.outcomes import (
    Grader,
    Grades,
    Outcome,
    graded_problem,
    outcome_of,
    ranking_name,
    which_grades,
)
from ponder.evals.problem_cost import ProblemCost
from ponder.search.selection import Aggregation
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.trace import Trace
from ponder.types import Example

NO_GRADES: Grades = {}

NO_COSTING = Costing()

Points = Mapping[str, Mapping[int, "At"]]
"""By selector and N."""


@dataclass(frozen=True, slots=True)
class At:
    """What was found at one N, problem by problem."""

    estimates: Mapping[str, Estimate]
    """By problem id."""
    tokens: Mapping[str, float | None]
    """Generated tokens by problem id; None: not told."""

    @property
    def values(self) -> dict[str, float]:
        """Accuracy by problem id: what paired differences are taken of."""
        return {name: estimate.value for name, estimate in self.estimates.items()}

    def only(self, names: Collection[str]) -> At:
        """The same with some of the problems, by id."""
        return At(
            {name: own for name, own in self.estimates.items() if name in names},
            {name: own for name, own in self.tokens.items() if name in names},
        )


class Subtrees(NamedTuple):
    """What fewer subtrees of the same search would have chosen."""

    width: int
    """Candidates of a subtree."""
    points: Points
    """N is the candidates of so many whole subtrees."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the figures of one run are made of."""

    problems: tuple[GradedProblem, ...]
    """The finished ones."""
    asked: int
    """Problems that the run holds, finished or not."""
    failed: int
    """Problems whose samples all failed."""
    grades: Grader
    """Whose grades were used."""
    points: Points
    first_n: Mapping[str, Mapping[int, float]]
    """Accuracy by selector and N; empty for a search."""
    truncated: float | None
    """Share of candidates that reached their token limit; None without candidates."""
    unanswered: float | None
    """Share of candidates without an answer; None without candidates."""
    costs: Mapping[str, ProblemCost]
    """By problem id."""
    costing: Costing
    subtrees: Subtrees | None
    """A DVTS cut by whole subtrees; None for anything else."""

    @property
    def sampled(self) -> bool:
        """Its candidates are independent samples: there is a curve."""
        return all(problem.exchangeable for problem in self.problems)

    def narrowed(self, sizes: Sequence[int]) -> Measured:
        """The same at these N alone; raises UsageError as `at` does."""
        points = {name: dict(self.at(name, n) for n in sizes) for name in self.points}
        first = {
            name: {n: curves.first_n(self.problems, name, n) for n in sizes}
            for name in self.first_n
        }
        return replace(self, points=points, first_n=first)

    def costs_at(self, n: int, selector: str | None = None) -> dict[str, ProblemCost]:
        """What each problem cost at N, by its id: of a search, all that it spent.

        By the majority of independent samples it is without what a verifier read, which the answer
        does not need.
        """
        if not self.sampled:
            return dict(self.costs)
        drawn = {problem.id: len(problem.candidates) for problem in self.problems}
        costs = {name: cost.of_samples(n, drawn[name]) for name, cost in self.costs.items()}
        if selector != "majority":
            return costs
        return {name: replace(cost, verifier=0) for name, cost in costs.items()}

    def at(self, selector: str, n: int | None = None) -> tuple[int, At]:
        """N, by default the largest, and what was found there.

        Raises UsageError, with the reason, for a selector or an N that the candidates do not allow.
        """
        points = self.points.get(selector)
        if not points:
            known = ", ".join(self.points) if any(self.points.values()) else "there are none"
            raise UsageError(f"no figures for the selector {selector!r} (known: {known})")
        largest = max(points)
        n = largest if n is None else n
        if n in points:
            return n, points[n]
        if not self.sampled:
            raise UsageError(
                f"the candidates come from a search, which has one N, {largest}: "
                f"run it again for N = {n}"
            )
        if not 1 <= n <= largest:
            raise UsageError(f"N must be 1 to {largest}, the samples of a problem, got {n}")
        estimates = curves.expected(self.problems, selector, n)
        return n, At(estimates, curves.subset_tokens(self.problems, n))


def measure(
    examples: Iterable[Example],
    traces: Iterable[Trace],
    *,
    imported: Grades = NO_GRADES,
    ours: Grades = NO_GRADES,
    grader: Grader | None = None,
    n: int | None = None,
    score: str | None = None,
    aggregation: Aggregation = "last",
    seed: int = 0,
    subtree_width: int | None = None,
    costing: Costing = NO_COSTING,
) -> Measured:
    """Count everything that the figures of a run are made of.

    `grader` says whose grades to use, by default the imported ones where every candidate has one.
    `n` is the N of a search, by default its most candidates. `score` names the scores to rank by,
    `seed` is the Monte Carlo's, `subtree_width` the m of a DVTS, `costing` tells sizes and prices.
    Raises UsageError for candidates that are not graded, or whose
    score has to be chosen.
    """
    known = {example.problem.id: example for example in examples}
    outcomes = [outcome_of(trace, known.get(trace.problem_id)) for trace in traces]
    candidates = [c for outcome in outcomes for c in outcome.trace.candidates]
    used = grader or which_grades(outcomes, imported)
    grades = imported if used == "imported" else ours
    ranking = ranking_name(candidates, score)
    problems = tuple(graded_problem(o, grades, ranking, aggregation, used) for o in outcomes)
    sampled = all(outcome.exchangeable for outcome in outcomes)
    fitted = any(outcome.trace.strategy == ComputeOptimal.name for outcome in outcomes)
    own = fitted or len({outcome.trace.selector for outcome in outcomes}) > 1
    settled = {o.trace.selector for o in outcomes if o.trace.stopped == "settled"}
    return Measured(
        problems=problems,
        asked=len(known.keys() | {problem.id for problem in problems}),
        failed=sum(outcome.failed for outcome in outcomes),
        grades=used,
        points=_subsets(problems, n, seed) if sampled else _search(problems, n, settled, own),
        first_n=_first_n(problems, n) if sampled else {},
        truncated=_share([candidate.ended == "length" for candidate in candidates]),
        unanswered=_share([candidate.answer is None for candidate in candidates]),
        costs={outcome.trace.problem_id: outcome.cost for outcome in outcomes},
        costing=costing,
        subtrees=_cut(outcomes, problems, subtree_width, seed),
    )


def _subsets(problems: Sequence[GradedProblem], n: int | None, seed: int) -> Points:
    sizes = _sizes(problems, n)
    tokens = {size: curves.subset_tokens(problems, size) for size in sizes}
    return {
        selector: {
            size: At(estimates, tokens[size])
            for size, estimates in curves.expected_at(problems, selector, sizes, seed).items()
        }
        for selector in curves.available(problems)
    }


def _first_n(problems: Sequence[GradedProblem], n: int | None) -> dict[str, dict[int, float]]:
    return {
        selector: {size: curves.first_n(problems, selector, size) for size in _sizes(problems, n)}
        for selector in curves.available(problems)
    }


def _sizes(problems: Sequence[GradedProblem], n: int | None) -> tuple[int, ...]:
    """The curve's sizes; where every problem failed, all are wrong at the `n` asked for."""
    return curves.sizes(problems) or ((n,) if n and problems else ())


def _search(
    problems: Sequence[GradedProblem], n: int | None, settled: Collection[str], own: bool
) -> Points:
    """One N, by every selector; with `own` also by those that the run took itself.

    Where a stopping rule settled some answers, only by the selector that it guarded: with the
    samples that were not drawn, any other one might have chosen differently.
    """
    most = n or max(len(problem.candidates) for problem in problems)
    tokens = {problem.id: problem.spent for problem in problems}
    return {
        selector: {most: At(curves.selected(problems, selector), tokens)}
        for selector in (*curves.available(problems), *([curves.OWN] if own else []))
        if not settled or selector in settled or selector == curves.OWN
    }


def _cut(
    outcomes: Sequence[Outcome], problems: Sequence[GradedProblem], width: int | None, seed: int
) -> Subtrees | None:
    """A DVTS over every number of its subtrees that is a power of 2, and over all."""
    wanted = {outcome.trace.n for outcome in outcomes}
    if width is None or len(wanted) != 1 or not all(outcome.cuttable for outcome in outcomes):
        return None
    count = wanted.pop() // width
    tokens = {
        size: {o.trace.problem_id: _subtree_tokens(o, count, size) for o in outcomes}
        for size in subtrees.sizes(count)
    }

    def at(selector: str, size: int) -> At:
        found = {p.id: subtrees.expected(p, selector, width, count, size, seed) for p in problems}
        return At(found, tokens[size])

    return Subtrees(
        width,
        {
            selector: {width * size: at(selector, size) for size in tokens}
            for selector in curves.available(problems)
        },
    )


def _subtree_tokens(outcome: Outcome, count: int, size: int) -> float | None:
    """Generated tokens expected of `size` of `count` subtrees; None if any is not told."""
    tokens = outcome.root_tokens.values()
    told = [own for own in tokens if own is not None]
    return size * sum(told) / count if len(told) == len(tokens) else None


def _share(facts: Sequence[bool]) -> float | None:
    return fmean(facts) if facts else None
