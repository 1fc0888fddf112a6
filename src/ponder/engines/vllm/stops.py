"""Which tokens vLLM itself may stop at."""

from __future__ import annotations

from typing import Final

from ponder.backends.vocabulary import Vocabulary

MOST: Final = 64
"""vLLM looks through the list for every token of every sample: 512 take 8 times as long as 64. A
vocabulary may have over 500 tokens that hold a blank line, of which the shortest end most steps."""


class SeparatorTokens:
    """The tokens in which a whole separator lies, by separator.

    vLLM stops there without drawing on. Separators in other tokens, or that come together over
    two, are found by `Draft`, token by token.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: dict[str, tuple[int, ...]] = {}

    def of(self, separator: str | None) -> tuple[int, ...]:
        """Their ids, those of the shortest tokens where there are very many."""
        if separator is None:
            return ()
        if separator not in self._known:
            self._known[separator] = self._search(separator.encode())
        return self._known[separator]

    def _search(self, separator: bytes) -> tuple[int, ...]:
        piece = self._vocabulary.piece
        found = [at for at in range(len(self._vocabulary)) if separator in piece(at)]
        found.sort(key=lambda at: (len(piece(at)), at))
        return tuple(found[:MOST])
