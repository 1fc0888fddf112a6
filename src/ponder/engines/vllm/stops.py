"""Which tokens vLLM itself may stop at."""

from __future__ import annotations

from typing import Final

from ponder.backends.vocabulary import Vocabulary

MOST: Final = 512
"""vLLM looks through the list for every token of every sample."""


class SeparatorTokens:
    """The tokens in which a whole separator lies, by separator.

    vLLM stops there without drawing on. Separators that come together over two tokens are found
    here, token by token, by `Draft`.
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
