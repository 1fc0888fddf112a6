"""What scoring cost: each node of the prefix tree once, as if every prefix had been cached."""

from __future__ import annotations

from collections.abc import Mapping

from ponder.types import Prefix, ScoreFailure, StepScores


class VerifierBill:
    """Counts the tokens of verifiers' inputs that were not counted before."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, bytes], int] = {}

    def new_tokens(
        self, prefix: Prefix, known: Mapping[str, StepScores | ScoreFailure]
    ) -> int | None:
        """Tokens that these scores of `prefix` add, summed over verifiers; None if one is silent.

        A step that is counted now with more than before adds the difference.
        """
        total: int | None = 0
        for name, scores in known.items():
            if isinstance(scores, ScoreFailure):
                continue
            if scores.tokens is None:
                total = None
                continue
            added = self._count(name, prefix, scores.tokens)
            total = None if total is None else total + added
        return total

    def _count(self, name: str, prefix: Prefix, tokens: tuple[int, ...]) -> int:
        added = 0
        node: Prefix | None = prefix
        for count in reversed(tokens):
            assert node is not None  # one entry for each step and the root
            before = self._counted.get((name, node.key), 0)
            if count > before:
                self._counted[name, node.key] = count
                added += count - before
            node = node.parent
        return added
