"""Everything that is counted of a run: from traces and grades alone, no model is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ponder.errors import UsageError
from ponder.evals import curves
from ponder.evals.graded import Estimate, GradedProblem
from ponder.evals.outcomes import (
    Grader,
    Grades,
    graded_problem,
    outcome_of,
    ranking_name,
    which_grades,
)
from ponder.search.selection import Aggregation
from ponder.trace import Trace
from ponder.types import Example

NO_GRADES: Grades = {}

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


@dataclass(frozen=True, slots=True)
class Measured:
    """What the figures of one run are made of."""

    problems: tuple[GradedProblem, ...]
    failed: int
    """Problems whose samples all failed."""
    grades: Grader
    """Whose grades were used."""
    points: Points
    first_n: Mapping[str, Mapping[int, float]]
    """Accuracy by selector and N; empty for a search."""
    truncated: float
    """Share of candidates that reached their token limit."""
    unanswered: float
    """Share of candidates without an answer."""

    @property
    def sampled(self) -> bool:
        """Its candidates are independent samples: there is a curve."""
        return all(problem.exchangeable for problem in self.problems)

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
) -> Measured:
    """Count everything that the figures of a run are made of.

    `grader` says whose grades to use, by default the imported ones where every candidate has one.
    `n` is the N of a search, by default its most candidates. `score` names the scores to rank by,
    `seed` is the Monte Carlo's. Raises UsageError for candidates that are not graded, or whose
    score has to be chosen.
    """
    known = {example.problem.id: example for example in examples}
    outcomes = [outcome_of(trace, known.get(trace.problem_id)) for trace in traces]
    candidates = [c for outcome in outcomes for c in outcome.trace.candidates]
    used = grader or which_grades(outcomes, imported)
    grades = imported if used == "imported" else ours
    ranking = ranking_name(candidates, score)
    problems = tuple(graded_problem(o, grades, ranking, aggregation) for o in outcomes)
    sampled = all(outcome.exchangeable for outcome in outcomes)
    return Measured(
        problems=problems,
        failed=sum(outcome.failed for outcome in outcomes),
        grades=used,
        points=_subsets(problems, n, seed) if sampled else _search(problems, n),
        first_n=_first_n(problems, n) if sampled else {},
        truncated=_share([candidate.ended == "length" for candidate in candidates]),
        unanswered=_share([candidate.answer is None for candidate in candidates]),
    )


def _subsets(problems: Sequence[GradedProblem], n: int | None, seed: int) -> Points:
    sizes = _sizes(problems, n)
    tokens = {size: curves.subset_tokens(problems, size) for size in sizes}
    return {
        selector: {
            size: At(curves.expected(problems, selector, size, seed), tokens[size])
            for size in sizes
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


def _search(problems: Sequence[GradedProblem], n: int | None) -> Points:
    most = n or max((len(problem.candidates) for problem in problems), default=0)
    tokens = {problem.id: problem.spent for problem in problems}
    return {
        selector: {most: At(curves.selected(problems, selector), tokens)}
        for selector in curves.available(problems)
    }


def _share(facts: Sequence[bool]) -> float:
    return fmean(facts) if facts else 0.0
