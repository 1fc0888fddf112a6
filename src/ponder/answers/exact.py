"""Answers that are compared as they stand, or by somebody else."""

from __future__ import annotations

from ponder.answers.extraction import boxed, last_line, stated, tagged
from ponder.answers.keys import bounded
from ponder.types import Answer

LONGEST_ALONE = 80
"""Characters of a text that may be an answer and nothing else."""


class ExactAnswers:
    """Text as it stands, without the white space around each of its lines."""

    name = "exact"

    def extract(self, text: str) -> str | None:
        """What the last answer tag, box or statement holds, else a text of one short line.

        A line that a step's separator ends is no answer yet.
        """
        alone = last_line(text) if "\n" not in text and len(text) <= LONGEST_ALONE else None
        return tagged(text) or boxed(text) or stated(text) or alone or None

    async def parse(self, raw: str) -> Answer:
        """The lines of the text are the key."""
        lines = (line.strip() for line in raw.strip().split("\n"))
        return Answer(raw, bounded("exact:" + "\n".join(lines)))

    def close(self) -> None:
        """Nothing to free."""


class ReasoningGymAnswers(ExactAnswers):
    """What a reasoning-gym task asks for: only the task's own scorer says what equals what."""

    name = "reasoning-gym"


class FunctionAnswers(ExactAnswers):
    """Answers that a user's function grades; they vote by their text.

    `name` is where the function is, "module:name"; nothing is loaded before something is graded.
    """

    def __init__(self, name: str) -> None:
        self.name = name
