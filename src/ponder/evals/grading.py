"""Grading: is a prediction equal to the reference? Decided by math-verify, within limits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Self

from ponder.answers.extraction import boxed, stated
from ponder.answers.worker import LimitedWorkers
from ponder.errors import UsageError

LONGEST_TEXT = 50_000
"""Characters of a text that math-verify extracts from; longer ones are extracted from here."""

Params = Mapping[str, object]
"""`match_types`, `precision`, `strict`, `allow_set_relation_comp`, as math-verify means them."""

NO_PARAMS: Params = MappingProxyType({})
MATCH_TYPES = ("latex", "expr", "string")

_INTEGER = re.compile(r"-?\d{1,18}")


class Verdict(NamedTuple):
    """Whether a prediction equals the reference; what could not be decided is not equal."""

    equal: bool
    failed: str | None = None
    """Why it could not be decided."""


class Comparison(NamedTuple):
    """A reference, a prediction, and how to read and compare them."""

    gold: str
    pred: str
    params: Params = NO_PARAMS


class Grader:
    """Compares answers in worker processes; the same comparison is made once.

    One that takes more than `seconds` of processor time, or `memory_mb`, is not equal and says
    so. The processes start with the first comparison that is not of two integers.
    """

    def __init__(self, workers: int = 2, seconds: float = 5.0, memory_mb: int = 1024) -> None:
        self._workers = LimitedWorkers(
            "ponder.evals.verdict:verdict",
            workers=workers,
            seconds=seconds,
            memory_mb=memory_mb,
            warm_up=[(r"\sqrt{2}", r"\frac{2}{\sqrt{2}}", {})],
        )
        self._known: dict[bytes, Verdict] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the worker processes; a second call does nothing."""
        await asyncio.to_thread(self._workers.close)

    async def grade(self, gold: str, pred: str, params: Params | None = None) -> Verdict:
        """Whether `pred` equals `gold`: each LaTeX, a bare answer, or text to extract from.

        Raises UsageError for params that math-verify does not have.
        """
        comparison = Comparison(gold, pred, NO_PARAMS if params is None else params)
        check_params(comparison.params)
        name = _fingerprint(comparison)
        if name not in self._known:
            self._known[name] = await self._compare(comparison)
        return self._known[name]

    async def grade_many(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """The verdicts, in the order asked; equal comparisons are made once."""
        different = {_fingerprint(comparison): comparison for comparison in comparisons}
        async with asyncio.TaskGroup() as group:
            for comparison in different.values():
                group.create_task(self.grade(*comparison))
        return [self._known[_fingerprint(comparison)] for comparison in comparisons]

    async def _compare(self, comparison: Comparison) -> Verdict:
        gold, pred, params = comparison
        if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(pred) and "match_types" not in params:
            return Verdict(int(gold) == int(pred))
        sides = [shortened(side) for side in (gold, pred)]
        if None in sides:
            return Verdict(False, f"no answer found in a text of over {LONGEST_TEXT} characters")
        outcome = await self._workers.call(*sides, dict(params))
        return Verdict(outcome.value is True, outcome.failed)


def check_params(params: Params) -> None:
    """Raise UsageError, naming the value, unless math-verify has these params."""
    for name, value in params.items():
        allowed = _PARAMS.get(name)
        if allowed is None:
            raise UsageError(f"`params` has {name!r}: choose of {', '.join(_PARAMS)}")
        if not allowed[0](value):
            raise UsageError(f"`{name}` must be {allowed[1]}, got {value!r}")


def shortened(side: str) -> str | None:
    """`side`, or the answer found in it if it is long; None if there is none."""
    if len(side) <= LONGEST_TEXT:
        return side
    answer = boxed(side) or stated(side)
    return None if answer is None or len(answer) > LONGEST_TEXT else f"${answer}$"


def _fingerprint(comparison: Comparison) -> bytes:
    content = [comparison.gold, comparison.pred, sorted(comparison.params.items())]
    return hashlib.sha256(json.dumps(content).encode()).digest()


def _is_match_types(value: object) -> bool:
    return isinstance(value, list | tuple) and 0 < len(value) == sum(
        name in MATCH_TYPES for name in value
    )


def _is_precision(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_PARAMS = {
    "match_types": (_is_match_types, "a list of latex, expr, string"),
    "precision": (_is_precision, "a number of decimal places, at least 0"),
    "strict": (_is_bool, "true or false"),
    "allow_set_relation_comp": (_is_bool, "true or false"),
}
