"""Scores each step by whether its sums are right: coded, exact, no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.equations import find_equations
from ponder.verifiers.lexer import plain, tokenise
from ponder.verifiers.reading import filled, score_each, step_texts

_VERSION: Final = 1
"""Part of the identity: raised whenever equal text may get another score."""

_NUMBER_WORDS: Final = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "half": 2, "twice": 2, "double": 2, "pair": 2, "triple": 3, "third": 3, "quarter": 4,
    "dozen": 12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArithmeticVerifier:
    """Finds every equation of a step and checks it exactly.

    A step with a wrong equation scores `wrong`, one whose equations all hold `right`, one without
    an equation `neutral`; an empty step repeats the score before it. It judges sums, not whether
    they are the ones the problem asks for: `sources` adds what can be said about that.
    """

    right: float = 1.0
    neutral: float = 0.5
    wrong: float = 0.0
    sources: bool = False
    """Also look for numbers that come from nowhere."""
    unsourced: float = 0.25
    """Score of a step whose equations hold, but with a number that is neither in the question, nor
    stated by an earlier equation, nor in `constants`. Used with `sources` only."""
    constants: tuple[int, ...] = (1, 2, 7, 10, 12, 24, 52, 60, 100)
    """Numbers that need no source."""
    name: str = "arithmetic"

    def __post_init__(self) -> None:
        for knob in ("right", "neutral", "wrong", "unsourced"):
            value = getattr(self, knob)
            if not 0 <= value <= 1:
                raise UsageError(f"`{knob}` must be between 0 and 1, got {value}")

    @property
    def info(self) -> VerifierInfo:
        """A score in [0, 1] for each step: that its sums are right."""
        knobs = f"{self.right},{self.neutral},{self.wrong}"
        if self.sources:
            knobs += f",sources={self.unsourced},{self.constants}"
        identity = f"arithmetic-{_VERSION}({knobs})"
        return VerifierInfo(self.name, identity, "steps", 0.0, 1.0, "correctness")

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """One score a step; nothing fails and no tokens are spent."""
        given = frozenset(_numbers(problem.question)) | set(map(Fraction, self.constants))
        return score_each(prefixes, lambda prefix: StepScores(self._scores(prefix, given)))

    async def aclose(self) -> None:
        """Nothing to free."""

    def _scores(self, prefix: Prefix, given: frozenset[Fraction]) -> tuple[float, ...]:
        known = set(given)
        return filled(
            (self._step(text, known) if text else None for text in step_texts(prefix)), self.neutral
        )

    def _step(self, text: str, known: set[Fraction]) -> float:
        """The step's score; its results are `known` to the steps after it."""
        equations = find_equations(text)
        sourced = True
        for equation in equations:
            sourced = sourced and known.issuperset(equation.operands)
            known.update(equation.stated)
        if not equations:
            return self.neutral
        if not all(equation.holds for equation in equations):
            return self.wrong
        return self.right if sourced or not self.sources else self.unsourced


def _numbers(text: str) -> Iterable[Fraction]:
    """Every number of a question, in digits or in words."""
    yield from (token.value for token in tokenise(plain(text)) if token.kind == "number")
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in _NUMBER_WORDS:
            yield Fraction(_NUMBER_WORDS[word])
