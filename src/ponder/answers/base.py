"""What an answer is, for a task."""

from __future__ import annotations

from typing import Protocol

from ponder.types import Answer


class AnswerKind(Protocol):
    """Finds the answer in a solution and gives it the key that it votes under."""

    name: str
    """Names it in recipes and provenance."""

    def extract(self, text: str) -> str | None:
        """The answer that `text` states, or None. Reads text only, in linear time."""
        ...

    async def parse(self, raw: str) -> Answer:
        """The raw answer with its canonical key, computed within limits of size and time."""
        ...

    def close(self) -> None:
        """Free what parsing holds; a second call does nothing."""
        ...
