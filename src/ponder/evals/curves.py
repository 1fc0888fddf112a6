"""Accuracy against the number of samples: over all subsets, over the first N, or at one point."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ponder.errors import UsageError
from ponder.evals.expectations import EXPECTATIONS
from ponder.evals.graded import Estimate, GradedProblem
from ponder.search.selection import SELECTORS

OWN = "own"
"""What the run itself answered, where it took other selectors for other problems."""

WRONG = Estimate(0.0)
"""A problem without candidates."""


def available(problems: Sequence[GradedProblem]) -> tuple[str, ...]:
    """The selectors that these problems allow.

    Those that need scores are left out when any problem has candidates and no score at all.
    """
    scored = all(
        any(candidate.score is not None for candidate in problem.candidates)
        for problem in problems
        if problem.candidates
    )
    return tuple(EXPECTATIONS) if scored else ("majority", "oracle")


def sizes(problems: Sequence[GradedProblem]) -> tuple[int, ...]:
    """1, 2, 4, ... and the whole pool: the fewest candidates of any problem that has some."""
    most = min((len(p.candidates) for p in problems if p.candidates), default=0)
    return tuple(sorted({2**power for power in range(most.bit_length())} | {most})) if most else ()


def expected(
    problems: Sequence[GradedProblem], selector: str, size: int, seed: int = 0
) -> dict[str, Estimate]:
    """By problem id, the accuracy expected of a random subset of `size` candidates.

    Raises UsageError as `expected_at` does.
    """
    return expected_at(problems, selector, (size,), seed)[size]


def expected_at(
    problems: Sequence[GradedProblem], selector: str, sizes: Sequence[int], seed: int = 0
) -> dict[int, dict[str, Estimate]]:
    """By size and problem id, the accuracy expected of a random subset of so many candidates.

    Raises UsageError for problems whose candidates are not exchangeable: their subsets are no draws
    that could have been.
    """
    found: dict[int, dict[str, Estimate]] = {size: {} for size in sizes}
    for problem in problems:
        if not problem.exchangeable:
            raise UsageError(
                f"the candidates of {problem.id!r} come from a search: it has one N, no curve; "
                "run the search again at each N"
            )
        expectation = EXPECTATIONS[selector](problem) if problem.candidates else None
        for size in sizes:
            found[size][problem.id] = expectation(size, seed) if expectation else WRONG
    return found


def selected(
    problems: Sequence[GradedProblem], selector: str, first: int | None = None
) -> dict[str, Estimate]:
    """By problem id, 1 if the selector is right on the `first` candidates (None: all), else 0.

    Ties go to the lowest index.
    """
    return {p.id: Estimate(float(_is_right(p, selector, first))) for p in problems}


def _is_right(problem: GradedProblem, selector: str, first: int | None) -> bool:
    candidates = problem.candidates[:first]
    if selector == "oracle":
        return any(candidate.correct for candidate in candidates)
    if selector == OWN:
        return problem.chosen is not None and candidates[problem.chosen].correct
    chosen = SELECTORS[selector]([candidate.ballot for candidate in candidates])
    return chosen is not None and candidates[chosen].correct


def first_n(problems: Sequence[GradedProblem], selector: str, size: int) -> float:
    """Accuracy on the first `size` candidates of each problem: what published tables use."""
    return fmean(estimate.value for estimate in selected(problems, selector, size).values())


def subset_tokens(problems: Sequence[GradedProblem], size: int) -> dict[str, float | None]:
    """By problem id, generated tokens expected of a subset of `size`; None if any is not told."""
    return {problem.id: _expected_tokens(problem, size) for problem in problems}


def _expected_tokens(problem: GradedProblem, size: int) -> float | None:
    tokens = [candidate.tokens for candidate in problem.candidates]
    told = [count for count in tokens if count is not None]
    if len(told) < len(tokens):
        return None
    return size * fmean(told) if told else 0.0
