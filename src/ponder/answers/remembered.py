"""Answers as a trace has them, so that a replay parses nothing again."""

from __future__ import annotations

from collections.abc import Iterable

from ponder.answers.base import AnswerKind
from ponder.types import Answer


class RememberedAnswers:
    """Parses as before: a raw answer that was parsed once has the key that it got then."""

    def __init__(self, kind: AnswerKind, known: Iterable[Answer]) -> None:
        self.name = kind.name
        self.extract = kind.extract
        self._kind = kind
        self._known = {answer.raw: answer for answer in known}

    async def parse(self, raw: str) -> Answer:
        """The answer with its key of then, or a new one for an answer not seen then."""
        return self._known.get(raw) or await self._kind.parse(raw)

    def close(self) -> None:
        """Close the kind behind it."""
        self._kind.close()
