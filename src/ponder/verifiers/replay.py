"""The verifier of a replay: it says what it was, and answers nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo


class ReplayVerifier:
    """Stands in for the verifier of a recorded run; every score that counts is in the call log."""

    def __init__(self, info: VerifierInfo) -> None:
        self.info = info
        self.unrecorded: str | None = None
        """The first call that the log did not answer: one that was ended midway, or a fault."""

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Failures: the log should have answered, had the scores come then."""
        self.unrecorded = self.unrecorded or (
            f"problem {problem.id!r} asks {self.info.name} for {len(prefixes)} scores that are "
            "not recorded"
        )
        return [ScoreFailure(self.unrecorded) for _ in prefixes]

    async def aclose(self) -> None:
        """Nothing to free."""
