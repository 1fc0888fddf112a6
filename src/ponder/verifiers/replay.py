"""The verifier of a replay: it says what it was, and answers nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ponder.errors import ReplayError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo


class ReplayVerifier:
    """Stands in for the verifier of a recorded run; every score must be in the call log."""

    def __init__(self, info: VerifierInfo) -> None:
        self.info = info

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Raise ReplayError: the log should have answered."""
        raise ReplayError(
            f"problem {problem.id!r} asks {self.info.name} for {len(prefixes)} scores that are "
            "not recorded: the strategy or its knobs changed"
        )

    async def aclose(self) -> None:
        """Nothing to free."""
