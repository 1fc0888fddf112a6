"""DVTS cut by whole subtrees: what fewer subtrees of the same search would have chosen.

Subtrees grow apart from each other and from seeds of their own, so any of them could have been the
only ones. Single candidates could not: siblings share their steps. Independent samples are
subtrees of one candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ponder.evals.graded import Estimate, GradedCandidate, GradedProblem
from ponder.evals.subsets import Payoff, Subsets, Values, WeightedVote, subset_mean
from ponder.search.selection import TIE

Candidates = Sequence[GradedCandidate]

_NOBODY = GradedCandidate(None, None, correct=False)
"""Fills up a subtree that has fewer candidates than others."""


def sizes(subtrees: int) -> tuple[int, ...]:
    """1, 2, 4, ... and all subtrees."""
    return tuple(sorted({2**power for power in range(subtrees.bit_length())} | {subtrees}))


def expected(
    problem: GradedProblem,
    selector: str,
    width: int,
    subtrees: int,
    size: int,
    seed: int = 0,
    first: Candidates = (),
) -> Estimate:
    """Expected accuracy over random subsets of `size` of the `subtrees`, each `width` roots wide.

    Every subset has all candidates of its subtrees; a tie of k candidates or groups counts 1/k.
    Candidates that were there `first` are in every subset, and win the ties that they are in.
    """
    payoff = _PAYOFFS[selector]((*first, *problem.candidates, _NOBODY), len(first))
    members = _members(problem.candidates, width, subtrees) + len(first)

    def of_subtrees(chosen: Subsets) -> Values:
        count = chosen.shape[1]
        always = np.repeat(np.arange(len(first))[:, None], count, axis=1)
        return payoff(np.concatenate([always, members[:, chosen].reshape(-1, count)]))

    name = repr((seed, problem.id, size, "subtrees"))
    return subset_mean(of_subtrees, subtrees, size, name)


def _members(candidates: Candidates, width: int, subtrees: int) -> Subsets:
    """The candidates of each subtree, a column a subtree; in empty places the last of all."""
    places: list[list[int]] = [[] for _ in range(subtrees)]
    for index, candidate in enumerate(candidates):
        places[candidate.root // width].append(index)
    table = np.full((max(map(len, places), default=0), subtrees), len(candidates), dtype=np.intp)
    for subtree, own in enumerate(places):
        table[: len(own), subtree] = own
    return table


def _majority(candidates: Candidates, first: int) -> Payoff:
    """A weighted vote in which each vote weighs the same."""
    return _weighted([replace(candidate, score=1.0) for candidate in candidates], first)


def _best_of_n(candidates: Candidates, first: int) -> Payoff:
    """A weighted vote in which each candidate is a group of its own."""
    return _weighted([replace(c, key=str(place)) for place, c in enumerate(candidates)], first)


def _weighted(candidates: Candidates, first: int) -> Payoff:
    """The first of each group among the `first` scores more, by what decides ties alone."""
    ahead: dict[str, int] = {}
    for place, candidate in enumerate(candidates[:first]):
        if candidate.key is not None and candidate.score is not None:
            ahead.setdefault(candidate.key, place)
    voters = list(candidates)
    for rank, place in enumerate(reversed(ahead.values()), start=1):
        voters[place] = replace(voters[place], score=(voters[place].score or 0.0) + 2 * rank * TIE)
    return WeightedVote.among(voters)


def _oracle(candidates: Candidates, _first: int) -> Payoff:
    right = np.array([candidate.correct for candidate in candidates])
    return lambda subsets: np.asarray(right[subsets].any(axis=0), dtype=np.float64)


_PAYOFFS: Mapping[str, Callable[[Candidates, int], Payoff]] = MappingProxyType(
    {
        "majority": _majority,
        "best_of_n": _best_of_n,
        "weighted": _weighted,
        "oracle": _oracle,
    }
)
"""By the selector's name."""
