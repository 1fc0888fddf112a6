"""The control of every study: scores that know nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.reading import filled, score_each


@dataclass(frozen=True, slots=True)
class RandomVerifier:
    """Uniform scores in [0, 1) that depend on (seed, prefix) only, so a replay repeats them.

    A search under it does all that a guided one does, except to know which step is good. An empty
    step repeats the score before it.
    """

    seed: int = 0
    name: str = "random"

    @property
    def info(self) -> VerifierInfo:
        """A score in [0, 1) for each step."""
        return VerifierInfo(self.name, f"random-1({self.seed})", "steps", 0.0, 1.0, "correctness")

    async def score(
        self,
        problem: Problem,  # noqa: ARG002  (the protocol's)
        prefixes: Sequence[Prefix],
    ) -> list[StepScores | ScoreFailure]:
        """One score a step; a shared beginning has the same scores in every prefix."""
        return score_each(prefixes, self._score)

    async def aclose(self) -> None:
        """Nothing to free."""

    def _score(self, prefix: Prefix) -> StepScores:
        drawn = [self._draw(node.key) if _says(node) else None for node in _nodes(prefix)]
        return StepScores(filled(reversed(drawn), 0.5))

    def _draw(self, key: bytes) -> float:
        digest = hashlib.sha256(b"%d:" % self.seed + key).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


def _nodes(prefix: Prefix) -> Iterator[Prefix]:
    """The prefix and those that it grew from, without the root."""
    node: Prefix | None = prefix
    while node is not None and node.step is not None:
        yield node
        node = node.parent


def _says(node: Prefix) -> bool:
    return node.step is not None and bool(node.step.content)
