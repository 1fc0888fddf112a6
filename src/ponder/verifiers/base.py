"""The seam to a verifier: score reasoning, step by step or as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from ponder.types import Prefix, Problem, ScoreFailure, StepScores


class VerifierInfo(NamedTuple):
    """What a verifier is."""

    name: str
    """Scores are stored under it."""
    identity: str
    """Name, version and knobs, as in the call log's key."""
    scores: Literal["steps", "solution"]
    """One score a step, or one a prefix."""
    low: float
    """Least score."""
    high: float
    """Greatest score."""
    estimates: Literal["correctness", "value"]
    """That the steps so far are right, or that the solution will end right."""


class Verifier(Protocol):
    """Scores reasoning."""

    @property
    def info(self) -> VerifierInfo:
        """What this verifier is."""
        ...

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Score each prefix: same order and length as asked.

        One float within `info.low` and `info.high` for each step, or exactly one from a verifier
        of solutions. A failed item is a `ScoreFailure`, and the others are scored all the same.
        """
        ...

    async def aclose(self) -> None:
        """Free what it holds; a second call does nothing."""
        ...


def reads_question(verifier: Verifier) -> bool:
    """Whether scores depend on the question: an attribute `reads_question`, else they do not."""
    return bool(getattr(verifier, "reads_question", False))
