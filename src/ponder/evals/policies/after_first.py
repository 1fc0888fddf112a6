"""What a choice finds where a problem's first samples are there already: they vote too.

This is what the strategy `compute_optimal` does: it draws a few samples, and the choice takes up
what is left of the n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ponder.evals import curves, subtrees
from ponder.evals.graded import Estimate, GradedCandidate, GradedProblem
from ponder.evals.measure import At, Measured
from ponder.evals.policies.runs import FittedRun

First = Mapping[str, tuple[GradedCandidate, ...]]
"""By problem id, the samples that are drawn first, in their order."""


def after_first(run: FittedRun, selector: str, more: int, first: First) -> At:
    """What `more` candidates of a run find together with the first samples, and what both take.

    The selector sees the first samples before the others, as in a run. Of samples, and of a DVTS
    that has more subtrees, the mean over all subsets. `more` is a size that the run has, or 0.
    """
    problems = run.measured.problems
    if run.measured.sampled:
        own: Mapping[str, float | None] = curves.subset_tokens(problems, more)
    else:
        own = run.at(selector, more).tokens
    return At(
        {p.id: _estimate(run.measured, p, selector, more, first[p.id]) for p in problems},
        {p.id: _sum(own[p.id], _spent(first[p.id])) for p in problems},
    )


def _estimate(
    run: Measured,
    problem: GradedProblem,
    selector: str,
    more: int,
    first: tuple[GradedCandidate, ...],
) -> Estimate:
    if run.sampled:
        alone = tuple(replace(c, root=place) for place, c in enumerate(problem.candidates))
        single = replace(problem, candidates=alone)  # those that failed have left no gap
        return subtrees.expected(single, selector, 1, len(alone), more, first=first)
    whole = max(run.points[selector])
    if more < whole and run.subtrees:
        width = run.subtrees.width
        counts = whole // width, more // width
        return subtrees.expected(problem, selector, width, *counts, first=first)
    voting = replace(problem, candidates=(*first, *problem.candidates))
    return curves.selected([voting], selector)[problem.id]


def _spent(candidates: Sequence[GradedCandidate]) -> float | None:
    told = [c.tokens for c in candidates if c.tokens is not None]
    return float(sum(told)) if len(told) == len(candidates) else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
