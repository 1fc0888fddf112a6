"""Mathematical answers: numbers, formulas, sets, intervals, matrices, names."""

from __future__ import annotations

from collections import OrderedDict

from ponder.answers.extraction import boxed, last_number, stated
from ponder.answers.keys import text_key
from ponder.answers.limits import refusal
from ponder.answers.plain import plain_key
from ponder.answers.worker import LimitedWorkers
from ponder.types import Answer

REMEMBERED = 10_000
"""Parsed answers that are kept; the one used longest ago goes first."""


class MathAnswers:
    """Finds mathematical answers and gives each its canonical key.

    The key is the value of a number at 50 digits, else the canonical form of what the answer
    parses to, else its normalised text: where it is too large to compute, cannot be parsed, or
    takes longer than `seconds`. Plain numbers and words take microseconds; the others are parsed
    in worker processes, which start with the first of them.
    """

    name = "math"

    def __init__(
        self,
        last_number: bool = False,
        workers: int = 2,
        seconds: float = 2.0,
        memory_mb: int = 1024,
    ) -> None:
        self._last_number = last_number
        self._known: OrderedDict[str, str] = OrderedDict()
        self._workers = LimitedWorkers(
            "ponder.answers.canonical:canonical_key",
            workers=workers,
            seconds=seconds,
            memory_mb=memory_mb,
            warm_up=[(r"\sqrt{2}",), ("(x+1)^2",), ("[1,2)",), ("x^2 = y",)],
        )

    def extract(self, text: str) -> str | None:
        r"""What the last `\boxed{}` holds, else what is stated as the answer, else None.

        The last number in the text counts only with `last_number`, a switch for comparison with
        published figures that were made so.
        """
        answer = boxed(text) or stated(text)
        return last_number(text) if answer is None and self._last_number else answer

    async def parse(self, raw: str) -> Answer:
        """The answer with its canonical key."""
        key = self._known.pop(raw, None)
        if key is None:
            key = await self._key(raw)
        self._known[raw] = key
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return Answer(raw, key)

    def close(self) -> None:
        """End the worker processes; they end with this object or this process anyway."""
        self._workers.close()

    async def _key(self, raw: str) -> str:
        if refusal(raw) is not None:
            return text_key(raw)
        plain = plain_key(raw)
        if plain is not None:
            return plain
        parsed = await self._workers.call(raw)
        return parsed.value if isinstance(parsed.value, str) else text_key(raw)
