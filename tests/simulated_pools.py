"""Simulated problems with known truth, for what intervals and tests promise."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from statistics import fmean
from typing import NamedTuple

from ponder.evals.curves import expected
from ponder.evals.graded import GradedCandidate, GradedProblem
from ponder.evals.intervals import mean_interval

SAMPLES = 16
ACCURACIES = tuple(tenth / 10 for tenth in range(1, 10))
SPREAD = 2.0
"""Chances of problems are beta distributed with this sum of parameters: many hard, many easy."""


class Estimator(NamedTuple):
    """One of the report's estimates."""

    selector: str
    size: int

    def __str__(self) -> str:
        return f"{self.selector} at N = {self.size}"


CURVES = (
    Estimator("majority", 1),  # at N = 1 all selectors are the same
    *(Estimator(s, n) for s in ("majority", "best_of_n", "oracle") for n in (4, 16)),
)


def simulated(name: str, accuracy: float, seed: int) -> GradedProblem:
    """A problem with 16 samples: right ones agree and score higher, wrong ones have 3 answers."""
    draw = random.Random(f"{name} {accuracy} {seed}")
    chance = draw.betavariate(SPREAD * accuracy, SPREAD * (1 - accuracy))
    return GradedProblem(name, tuple(_sample(draw, chance) for _ in range(SAMPLES)))


def _sample(draw: random.Random, chance: float) -> GradedCandidate:
    if draw.random() < chance:
        return GradedCandidate("right", max(draw.random(), draw.random()), True, 10)
    return GradedCandidate(draw.choice("aaabbc"), draw.random(), False, 10)


@cache
def population(accuracy: float, size: int) -> tuple[GradedProblem, ...]:
    """All problems that there are: the truth is a mean over them."""
    return tuple(simulated(f"p{place}", accuracy, 0) for place in range(size))


@cache
def values_of(estimator: Estimator, accuracy: float, size: int) -> tuple[float, ...]:
    """What the report's estimate is on each problem of the population."""
    problems = population(accuracy, size)
    found = expected(problems, estimator.selector, estimator.size)
    return tuple(found[problem.id].value for problem in problems)


def coverage(values: Sequence[float], count: int, repeats: int, seed: int) -> float:
    """How often the interval over `count` problems, drawn from all, holds the mean of all."""
    draw, truth = random.Random(seed), fmean(values)
    held = 0
    for _ in range(repeats):
        interval = mean_interval(draw.choices(values, k=count))
        held += interval.low <= truth <= interval.high
    return held / repeats


def seeds_of(seeds: int, accuracy: float, size: int) -> tuple[float, ...]:
    """Means over single answers of so many runs, problem by problem."""
    problems = population(accuracy, size)
    return tuple(fmean(c.correct for c in problem.candidates[:seeds]) for problem in problems)


KINDS: Mapping[str, Callable[[float, int], tuple[float, ...]]] = {
    **{str(own): partial(values_of, own) for own in CURVES},
    "one answer a problem": partial(seeds_of, 1),
    "mean of 3 seeds": partial(seeds_of, 3),
}
"""By the kind's name, the values of a population of an accuracy and a size."""
