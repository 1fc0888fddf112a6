"""DVTS cut by whole subtrees: what fewer subtrees of the same search would have chosen.

Subtrees grow apart from each other and from seeds of their own, so any of them could have been the
only ones. Single candidates could not: siblings share their steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from ponder.evals.graded import Estimate, GradedCandidate, GradedProblem
from ponder.evals.subsets import Members, Values, payoffs, subset_mean

Candidates = Sequence[GradedCandidate]


def sizes(subtrees: int) -> tuple[int, ...]:
    """1, 2, 4, ... and all subtrees."""
    return tuple(sorted({2**power for power in range(subtrees.bit_length())} | {subtrees}))


def expected(
    problem: GradedProblem, selector: str, width: int, subtrees: int, size: int, seed: int = 0
) -> Estimate:
    """Expected accuracy over random subsets of `size` of the `subtrees`, each `width` roots wide.

    Every subset has all candidates of its subtrees; a tie of k candidates or groups counts 1/k.
    """
    payoff = _PAYOFFS[selector](problem.candidates)
    places = np.array([candidate.root // width for candidate in problem.candidates], dtype=np.intp)

    def of_subtrees(members: Members) -> Values:
        return payoff(members[places])

    name = repr((seed, problem.id, size, "subtrees"))
    return subset_mean(of_subtrees, subtrees, size, name)


def _majority(candidates: Candidates) -> Callable[[Members], Values]:
    """A weighted vote in which each vote weighs the same."""
    return partial(payoffs, [replace(candidate, score=1.0) for candidate in candidates])


def _best_of_n(candidates: Candidates) -> Callable[[Members], Values]:
    """A weighted vote in which each candidate is a group of its own."""
    return partial(payoffs, [replace(c, key=str(place)) for place, c in enumerate(candidates)])


def _weighted(candidates: Candidates) -> Callable[[Members], Values]:
    return partial(payoffs, candidates)


def _oracle(candidates: Candidates) -> Callable[[Members], Values]:
    right = np.array([candidate.correct for candidate in candidates], dtype=np.float64)
    return lambda members: np.asarray((right @ members > 0).astype(np.float64))


_PAYOFFS: Mapping[str, Callable[[Candidates], Callable[[Members], Values]]] = MappingProxyType(
    {
        "majority": _majority,
        "best_of_n": _best_of_n,
        "weighted": _weighted,
        "oracle": _oracle,
    }
)
"""By the selector's name."""
