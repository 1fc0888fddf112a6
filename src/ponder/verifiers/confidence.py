"""Scores each step by how sure the model was of its tokens: no call, no extra tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.reading import filled, score_each


@dataclass(frozen=True, slots=True)
class ConfidenceVerifier:
    """The mean probability of a step's tokens, from the log-probabilities that came with them.

    These are the model's own, before temperature and top-p. A step without tokens or text repeats
    the score before it (1 at the start).
    """

    mean: Literal["geometric", "arithmetic"] = "geometric"
    """`geometric` is exp of the mean log-probability, the inverse of perplexity."""
    name: str = "confidence"

    def __post_init__(self) -> None:
        if self.mean not in ("geometric", "arithmetic"):
            raise UsageError(f"`mean` must be geometric or arithmetic, got {self.mean!r}")

    @property
    def info(self) -> VerifierInfo:
        """A score in [0, 1] for each step."""
        identity = f"confidence-1({self.mean})"
        return VerifierInfo(self.name, identity, "steps", 0.0, 1.0, "correctness")

    async def score(
        self,
        problem: Problem,  # noqa: ARG002  (the protocol's)
        prefixes: Sequence[Prefix],
    ) -> list[StepScores | ScoreFailure]:
        """One score a step; a prefix with a step without log-probabilities fails."""
        return score_each(prefixes, self._score)

    async def aclose(self) -> None:
        """Nothing to free."""

    def _score(self, prefix: Prefix) -> StepScores | ScoreFailure:
        scores: list[float | None] = []
        for number, step in enumerate(prefix.steps, 1):
            if not step.text.strip():
                scores.append(None)
            elif not step.logprobs or any(map(math.isnan, step.logprobs)):
                return ScoreFailure(f"step {number} came without log-probabilities")
            else:
                scores.append(self._average(step.logprobs))
        return StepScores(filled(scores, 1.0))

    def _average(self, logprobs: Sequence[float]) -> float:
        if self.mean == "geometric":
            average = math.exp(math.fsum(logprobs) / len(logprobs))
        else:
            average = math.fsum(map(math.exp, logprobs)) / len(logprobs)
        return min(average, 1.0)
