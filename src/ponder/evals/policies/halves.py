"""Choices by difficulty, made on one half of the problems and measured on the other.

Snell et al. 2024, section 3.2: within each level of difficulty the best choice of one fold is
measured on the other, and the other way round, so that no problem has a say in its own choice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Protocol, TypeVar

from ponder.evals.policies.ladder import Solved
from ponder.evals.policies.options import Option
from ponder.search.difficulty import edges_of, level_of
from ponder.search.policy import Choice

Difficulty = Mapping[str, float | None]
"""By problem id; higher is easier, None is not known."""

Folds = tuple[tuple[str, ...], tuple[str, ...]]
"""The ids of each half."""


def folds(problems: Sequence[str], seed: int) -> Folds:
    """Two halves, by a hash of the ids: the same for any order of the problems."""
    mixed = sorted(problems, key=lambda p: hashlib.sha256(repr((seed, p)).encode()).digest())
    return tuple(mixed[::2]), tuple(mixed[1::2])


def level_edges(difficulty: Difficulty, problems: Sequence[str], levels: int) -> tuple[float, ...]:
    """The edges of levels on these problems; those of unknown difficulty are left out."""
    known = [value for p in problems if (value := difficulty[p]) is not None]
    return edges_of(known or [0.0], levels)


def choices_of(
    options: Sequence[Option],
    difficulty: Difficulty,
    problems: Sequence[str],
    edges: Sequence[float],
) -> tuple[Choice, ...]:
    """The best choice of each level on these problems; of an empty level, the best on all."""
    members: dict[int, list[str]] = {level: [] for level in range(1, len(edges) + 2)}
    for problem in problems:
        members[level_of(difficulty[problem], edges)].append(problem)
    return tuple(best_on(options, own or problems).choice for own in members.values())


class _Rated(Protocol):
    @property
    def values(self) -> Mapping[str, float]: ...
    @property
    def tokens(self) -> Mapping[str, float | None]: ...


_Any = TypeVar("_Any", bound=_Rated)


def best_on(rated: Sequence[_Any], problems: Sequence[str]) -> _Any:
    """The most accurate on these problems; of equal ones that with the fewest tokens, if told."""

    def rank(one: _Any) -> tuple[float, float]:
        told = [count for problem in problems if (count := one.tokens[problem]) is not None]
        tokens = fmean(told) if len(told) == len(problems) else math.inf
        return -round(fmean(one.values[problem] for problem in problems), 9), tokens

    return min(rated, key=rank)


def crossed(
    options: Sequence[Option], difficulty: Difficulty, halves: Folds, levels: int
) -> dict[str, Option]:
    """Each problem's option, chosen for its level by the problems of the other fold alone."""
    by_choice = {id(option.choice): option for option in options}
    found: dict[str, Option] = {}
    for own, other in (halves, halves[::-1]):
        edges = level_edges(difficulty, other, levels)
        chosen = choices_of(options, difficulty, other, edges)
        for problem in own:
            found[problem] = by_choice[id(chosen[level_of(difficulty[problem], edges) - 1])]
    return found


def solved(chosen: Mapping[str, Option]) -> Solved:
    """What each problem's option solves."""
    return Solved(
        {problem: option.values[problem] for problem, option in chosen.items()},
        {problem: option.tokens[problem] for problem, option in chosen.items()},
    )


def best_of_other_half(ways: Sequence[Solved], halves: Folds) -> Solved:
    """On each half, the way that was best on the other."""
    values: dict[str, float] = {}
    tokens: dict[str, float | None] = {}
    for own, other in (halves, halves[::-1]):
        best = best_on(ways, other)
        values |= {problem: best.values[problem] for problem in own}
        tokens |= {problem: best.tokens[problem] for problem in own}
    return Solved(values, tokens)
