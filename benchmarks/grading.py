"""Answers a second: parsing them to vote, and grading them, for the first time and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.tables import table
from ponder.answers.math import MathAnswers
from ponder.evals.grading import Comparison, Grader

Work = Callable[[], Awaitable[None]]

NAME = "grading"
ANSWERS = 1000
"""Different ones of each kind."""
WARM_UP = tuple(rf"\sqrt{{{prime}}}x" for prime in (101, 103, 107, 109, 113, 127))
"""Formulas of no kind below: they start the worker processes."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One pass over all answers of a kind."""

    work: str
    """`voting`: from a solution's text to the key that it votes under; `grading`: equal or not."""
    kind: str
    """Of the answers."""
    cached: bool
    """Each was met before."""
    repeat: int
    answers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """All passes."""

    rates: tuple[Rate, ...]


def _whole(rng: random.Random) -> str:
    return str(rng.randint(-99_999, 99_999))


def _fraction(rng: random.Random) -> str:
    return rf"\frac{{{rng.randint(1, 999)}}}{{{rng.randint(2, 999)}}}"


def _surd(rng: random.Random) -> str:
    return rf"{rng.randint(1, 99)} + {rng.randint(2, 99)}\sqrt{{{rng.randint(2, 99)}}}"


def _formula(rng: random.Random) -> str:
    return f"{rng.randint(2, 99)}x^2 - {rng.randint(2, 99)}x + {rng.randint(1, 99)}"


KINDS: Mapping[str, Callable[[random.Random], str]] = {
    "whole numbers": _whole,
    "fractions": _fraction,
    "sums with a root": _surd,
    "polynomials": _formula,
}


def answers_of(kind: str, count: int) -> list[str]:
    """So many different answers, as models write them."""
    rng = random.Random(kind)
    found: dict[str, None] = {}
    while len(found) < count:
        found[KINDS[kind](rng)] = None
    return list(found)


async def measure(options: Options) -> Results:
    """Every kind of answers, voted and graded, cold and then cached, and again with others."""
    count = 4 if options.small else ANSWERS
    found = {kind: answers_of(kind, count * options.turns.stop) for kind in KINDS}
    answers, rates = MathAnswers(), list[Rate]()
    async with Grader() as grader:
        await _together(answers.parse(formula) for formula in WARM_UP)
        await _together(grader.grade(formula, f"{formula}+1") for formula in WARM_UP)
        for repeat in options.turns:
            for kind in KINDS:
                fresh = found[kind][repeat * count : (repeat + 1) * count]
                works = {"voting": _voting(answers, fresh), "grading": _grading(grader, fresh)}
                for (name, work), cached in product(works.items(), (False, True)):
                    rates.append(Rate(name, kind, cached, repeat, count, await _seconds(work)))
    await asyncio.to_thread(answers.close)
    return Results(tuple(rates))


def _voting(answers: MathAnswers, found: Sequence[str]) -> Work:
    texts = [rf"So it follows that the answer is \boxed{{{answer}}}." for answer in found]

    async def vote() -> None:
        stated = (answers.extract(text) for text in texts)
        await _together(answers.parse(raw) for raw in stated if raw is not None)

    return vote


def _grading(grader: Grader, found: Sequence[str]) -> Work:
    """Each answer against a reference: every other one is right."""
    others = [found[-1], *found[:-1]]
    compared = [
        Comparison(reference, reference if index % 2 else other)
        for index, (reference, other) in enumerate(zip(found, others, strict=True))
    ]

    async def grade() -> None:
        await grader.grade_many(compared)

    return grade


async def _together(calls: Iterable[Coroutine[Any, Any, object]]) -> None:
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


async def _seconds(work: Work) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def section(results: Results, _options: Options) -> Iterator[str]:
    """The part of the page."""
    yield (
        f"{results.rates[0].answers:,} different answers of each kind. Voting reads the answer "
        "from a solution's text and gives it its key; grading compares it with a reference by "
        "math-verify, every other answer being right. Cold: each is met for the first time, by "
        "worker processes that have started; cached: the same ones again."
    )
    yield ""
    yield from table(
        ("work", "answers", "a second, cold", "a second, cached"),
        [_row(results.rates, work, kind) for work in ("voting", "grading") for kind in KINDS],
    )


def _row(rates: Sequence[Rate], work: str, kind: str) -> tuple[object, ...]:
    own = [rate for rate in rates if (rate.work, rate.kind) == (work, kind)]
    return (work, kind, *(_shown(own, cached=cached) for cached in (False, True)))


def _shown(rates: Sequence[Rate], *, cached: bool) -> str:
    return Spread.of([r.answers / r.seconds for r in rates if r.cached is cached]).shown(0)
