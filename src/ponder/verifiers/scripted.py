"""A verifier that does as a function says: for tests and examples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.reading import step_texts

Script = Callable[[Problem, tuple[str, ...]], Sequence[float] | ScoreFailure]
"""From the problem and the step texts to one score a step (or one in all), or to a failure."""


@dataclass(frozen=True, slots=True)
class ScriptedVerifier:
    """Scores by `script`, after `latency` seconds, and reports `tokens` for each step."""

    script: Script
    latency: float | Callable[[Prefix], float] = 0.0
    """Seconds before a prefix's answer; prefixes of one call wait together."""
    tokens: int | None = 0
    """Verifier tokens to report for each step; None: not told."""
    scores: Literal["steps", "solution"] = "steps"
    low: float = 0.0
    high: float = 1.0
    estimates: Literal["correctness", "value"] = "correctness"
    name: str = "scripted"

    @property
    def info(self) -> VerifierInfo:
        """As the fields say."""
        identity = f"scripted:{self.name}"
        return VerifierInfo(self.name, identity, self.scores, self.low, self.high, self.estimates)

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """What the script says of each prefix; what it raises is raised, to test who catches it."""
        wait = max((self._latency(prefix) for prefix in prefixes), default=0.0)
        if wait > 0:
            await asyncio.sleep(wait)
        return [self._answer(problem, step_texts(prefix)) for prefix in prefixes]

    async def aclose(self) -> None:
        """Nothing to free."""

    def _latency(self, prefix: Prefix) -> float:
        return self.latency(prefix) if callable(self.latency) else self.latency

    def _answer(self, problem: Problem, texts: tuple[str, ...]) -> StepScores | ScoreFailure:
        answer = self.script(problem, texts)
        if isinstance(answer, ScoreFailure):
            return answer
        tokens = None if self.tokens is None else (0, *(self.tokens for _ in texts))
        return StepScores(tuple(answer), tokens)
