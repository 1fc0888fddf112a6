"""Answers that are words."""

from __future__ import annotations

from ponder.answers.extraction import boxed, stated
from ponder.answers.keys import text_key
from ponder.types import Answer


class TextAnswers:
    """Words as they stand; case, spaces, styling and end marks do not count."""

    name = "text"

    def extract(self, text: str) -> str | None:
        """What the last box holds, else what is stated as the answer."""
        return boxed(text) or stated(text)

    async def parse(self, raw: str) -> Answer:
        """The normalised text is the key."""
        return Answer(raw, text_key(raw))

    def close(self) -> None:
        """Nothing to free."""
