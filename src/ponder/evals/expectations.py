"""What a selector gets right on average over all subsets of one problem's candidates.

Subsets of a size are equally likely and come in random order, so a tie of k counts 1/k.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType

from ponder.evals.graded import Estimate, GradedProblem, probability
from ponder.evals.subsets import WeightedVote, subset_mean
from ponder.evals.votes import GroupClass, majority_chance

Expectation = Callable[[int, int], Estimate]
"""Expected accuracy at a subset size, from 1 to all candidates, with a seed."""


def oracle(problem: GradedProblem) -> Expectation:
    """P(one is right) = 1 - C(n - c, size) / C(n, size), c of n candidates being right: pass@k."""
    count = len(problem.candidates)
    right = sum(candidate.correct for candidate in problem.candidates)
    return lambda size, _seed: Estimate(1 - math.comb(count - right, size) / math.comb(count, size))


def best_of_n(problem: GradedProblem) -> Expectation:
    """Sum over scores s of P(the highest is s) times the share of right candidates at s.

    P(the highest is at most s) = C(candidates at most s, size) / C(n, size), where an unscored
    candidate is below all.
    """
    ranked = sorted((c.score, c.correct) for c in problem.candidates if c.score is not None)
    count = len(problem.candidates)
    below = count - len(ranked)
    levels: list[tuple[int, int, float]] = []
    for _, level in groupby(ranked, key=lambda pair: pair[0]):
        grades = [correct for _, correct in level]
        levels.append((below, below + len(grades), sum(grades) / len(grades)))
        below += len(grades)

    def at(size: int, _seed: int) -> Estimate:
        ways = _ways(count, size)
        chances = ((ways[most] - ways[less]) / ways[count] * share for less, most, share in levels)
        return Estimate(probability(sum(chances)))

    return at


@lru_cache(maxsize=64)
def _ways(count: int, size: int) -> list[int]:
    """C(n, size) for n = 0 to `count`."""
    return [math.comb(n, size) for n in range(count + 1)]


def majority(problem: GradedProblem) -> Expectation:
    """The chance that the largest group of answers is right; its first member stands for it."""
    votes: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for candidate in problem.candidates:
        if candidate.key is not None:
            votes[candidate.key] += 1
            right[candidate.key] += candidate.correct
    shares: dict[int, list[float]] = {}
    for key, members in votes.items():
        shares.setdefault(members, []).append(right[key] / members)
    classes = [GroupClass(v, len(own), sum(own) / len(own)) for v, own in shares.items()]
    count = len(problem.candidates)
    return lambda size, _seed: Estimate(majority_chance(classes, count, size))


def weighted(problem: GradedProblem) -> Expectation:
    """By enumeration, or by Monte Carlo draws that depend on the seed, the id and the size."""
    payoff, count = WeightedVote.among(problem.candidates), len(problem.candidates)
    return lambda size, seed: subset_mean(payoff, count, size, repr((seed, problem.id, size)))


EXPECTATIONS: Mapping[str, Callable[[GradedProblem], Expectation]] = MappingProxyType(
    {
        "majority": majority,
        "best_of_n": best_of_n,
        "weighted": weighted,
        "oracle": oracle,
    }
)
"""By the selector's name in the report: a problem is prepared once, for all sizes."""
