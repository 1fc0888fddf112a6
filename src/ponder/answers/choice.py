"""Answers that are a letter: multiple choice."""

from __future__ import annotations

import re

from ponder.answers.extraction import boxed, stated
from ponder.answers.keys import text_key
from ponder.errors import UsageError
from ponder.types import Answer

_STYLING = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\b|[{}$*()\[\]\s]+")


class ChoiceAnswers:
    """One letter out of `letters`; case, brackets and styling do not count."""

    name = "choice"

    def __init__(self, letters: str = "ABCDEFGHIJ") -> None:
        if not letters.isalpha():
            raise UsageError(f"`letters` must be letters such as ABCD, got {letters!r}")
        self._letters = frozenset(letters.upper())

    def extract(self, text: str) -> str | None:
        """The letter in the last box, else the one stated, else all that the text consists of."""
        for found in (boxed(text), stated(text), text if len(text) <= 20 else None):
            letter = None if found is None else self._letter(found)
            if letter is not None:
                return letter
        return None

    async def parse(self, raw: str) -> Answer:
        """The upper-case letter is the key; anything else groups as text."""
        return Answer(raw, self._letter(raw) or text_key(raw))

    def close(self) -> None:
        """Nothing to free."""

    def _letter(self, raw: str) -> str | None:
        """The letter that `raw` begins with, if it stands alone: "(C)", "C) 12", "C. 12"."""
        plain = _STYLING.sub(" ", raw[:200]).strip()
        first = plain[:1].upper()
        return first if first in self._letters and not plain[1:2].isalnum() else None
