"""Candidate pools as files: one problem with its candidates a row."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    model_validator,
)

from ponder.errors import UsageError
from ponder.evals.datasets import plain
from ponder.evals.exchange.files import write_rows
from ponder.evals.rows import Row, checked, read_rows
from ponder.types import Ended, Problem

STRATEGY = "pool"
"""The strategy that the trace of an imported problem names."""

FINISH_REASONS: Mapping[str, Ended] = MappingProxyType(
    {"stop": "eos", "length": "length", "abort": "aborted"}
)
"""What a `finish_reason` says of how a candidate ended; any other is kept and read as `eos`."""

SPENT: Mapping[str, str] = MappingProxyType(
    {
        "generations": "calls",
        "generated_tokens": "generated",
        "prompt_tokens": "prompt",
        "cached_tokens": "cached",
        "verifier_tokens": "verifier",
        "wasted_tokens": "wasted",
        "seconds": "seconds",
    }
)
"""The keys of `PoolSpent` and the fields of a trace's `Spent`."""

SCORE, STEP_SCORES = "score", "step_scores"
"""The keys of a candidate's scores that have no name; no entry of `scores` may be called so."""


def _scalar(value: object) -> object:
    if value is not None and plain(value) is None:
        raise ValueError("must be text or a number")
    return value


def _identity(value: object) -> object:
    text = plain(value) or ""
    if not text.strip():
        raise ValueError("must be text or a number, and not empty")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not have a lone surrogate, which no run can keep in an id")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("must be a finite number")
    return value


Scalar = Annotated[Any, BeforeValidator(_scalar)]
"""Text, a number or null, kept as it is."""

Number = Annotated[int | float, BeforeValidator(_number)]
"""A finite number, kept as it is: 1 is not 1.0."""


class PoolCandidate(BaseModel):
    """One candidate of a pool; unknown keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    text: str
    score: Number | None = None
    """What candidates are ranked by; higher is better."""
    scores: dict[str, Number | None] | None = None
    """By the name of what scored it."""
    step_scores: list[Number] | None = None
    completion_tokens: NonNegativeInt | None = None
    finish_reason: str | None = None
    seed: int | None = None
    answer: Scalar = None
    """Its vote. Null: extracted from the text; blank: it has none."""
    correct: bool | None = None
    """An imported grade."""
    votes: bool = True
    """False for a solution that a budget cut or a later one replaced."""

    @model_validator(mode="after")
    def _names_are_free(self) -> PoolCandidate:
        for name in (SCORE, STEP_SCORES):
            if name in (self.scores or {}):
                raise ValueError(f"an entry of `scores` may not be called {name!r}")
        return self


class PoolSpent(BaseModel):
    """What a problem cost, with all that was drawn and thrown away; null is not told."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    generations: NonNegativeInt | None = None
    generated_tokens: NonNegativeInt | None = None
    prompt_tokens: NonNegativeInt | None = None
    """With prefixes, summed over generations."""
    cached_tokens: NonNegativeInt | None = None
    verifier_tokens: NonNegativeInt | None = None
    wasted_tokens: NonNegativeInt | None = None
    seconds: NonNegativeFloat | None = None


class PoolProblem(BaseModel):
    """One line of a pool; unknown keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    id: Annotated[Any, BeforeValidator(_identity)]
    problem: str | None = None
    answer: Scalar
    """The reference; null: the candidates cannot be graded."""
    level: Scalar = None
    subject: str | None = None
    choices: list[str] | None = None
    """The options of a multiple-choice problem."""
    exchangeable: bool = True
    """The candidates are independent samples."""
    spent: PoolSpent | None = None
    """Null: what independent samples cost is summed up, what a search cost is not told."""
    candidates: list[PoolCandidate]

    def row(self) -> dict[str, Any]:
        """The line's JSON values: all that was given and nothing more."""
        return self.model_dump(exclude_unset=True)


def read_pool(path: Path) -> tuple[PoolProblem, ...]:
    """The problems of a pool file.

    Raises UsageError in one line that names the file's line and the key, for what is no pool; and
    for an id that stands in two lines.
    """
    return pool_of(str(path), read_rows(path))


def pool_of(source: str, rows: Sequence[Row]) -> tuple[PoolProblem, ...]:
    """The problems that the rows of a `source` are; raises as `read_pool` does."""
    problems = tuple(checked(row, PoolProblem) for row in rows)
    places: dict[str, list[str]] = {}
    for row, problem in zip(rows, problems, strict=True):
        places.setdefault(str(plain(problem.id)), []).append(row.where.removeprefix(f"{source}, "))
    for problem in problems:
        name = str(plain(problem.id))
        if len(places[name]) > 1:
            raise UsageError(f"{source}: {_twice(name, problem.problem or '', places[name])}")
    return problems


def _twice(name: str, question: str, places: Sequence[str]) -> str:
    """What is wrong with an id that stands in several lines; one that nobody gave is not named."""
    shown = ", ".join([*places[:3], *(["..."] if places[3:] else [])])
    lines = f"stands in {len(places)} lines ({shown})"
    if name != Problem.ask(question).id:
        return f"the id {name!r} {lines}: ids must be unique"
    begins = question if len(question) <= 40 else f"{question[:40]}..."
    return (
        f"the problem {begins!r} {lines} without an id: give each line an id of its own, as `id` "
        "or `unique_id`"
    )


def write_pool(path: Path, problems: Iterable[PoolProblem]) -> None:
    """Write a pool file that `read_pool` reads back as it was; its suffix is the format."""
    write_rows(path, [problem.row() for problem in problems])
