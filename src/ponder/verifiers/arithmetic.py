"""Scores each step by whether its sums are right: coded, exact, no model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.equations import Equation, find_equations
from ponder.verifiers.lexer import plain, tokenise
from ponder.verifiers.reading import filled, score_each, step_texts

_VERSION: Final = 2
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
    they are the ones the problem asks for: `sources` adds what can be said about that, by keeping
    account of the numbers. It fits problems that give the numbers they need and no others.
    """

    right: float = 1.0
    neutral: float = 0.5
    wrong: float = 0.0
    sources: bool = False
    """Also keep account of where numbers come from and go to."""
    unsourced: float = 0.2
    """Score, with `sources`, of a step whose equations hold but whose account does not: it computes
    with a number that was not given, or more often than it was given or found, or it states an
    answer that is not the last result, or that leaves a given number unused."""
    constants: tuple[int, ...] = ()
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

    @property
    def reads_question(self) -> bool:
        """Only an account of numbers begins with the question's."""
        return self.sources

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """One score a step; nothing fails and no tokens are spent."""
        given = Counter(_numbers(problem.question))
        return score_each(prefixes, lambda prefix: StepScores(self._scores(prefix, given)))

    async def aclose(self) -> None:
        """Nothing to free."""

    def _scores(self, prefix: Prefix, given: Counter[Fraction]) -> tuple[float, ...]:
        account = _Account(given, frozenset(map(Fraction, self.constants)))
        texts = step_texts(prefix)
        return filled((self._step(text, account) if text else None for text in texts), self.neutral)

    def _step(self, text: str, account: _Account) -> float:
        equations = find_equations(text)
        sound = [account.use(equation) for equation in equations]
        answer = _stated_answer(text)
        if answer is not None:
            sound.append(account.settles(answer))
        if not all(equation.holds for equation in equations):
            return self.wrong
        if self.sources and not all(sound):
            return self.unsourced
        return self.right if equations or (self.sources and sound) else self.neutral


class _Account:
    """The numbers of one solution: what was given or found, and how often it may yet be used."""

    def __init__(self, given: Counter[Fraction], constants: frozenset[Fraction]) -> None:
        self._given = given
        self._constants = constants
        self._left = given.copy()
        self._result: Fraction | None = None

    def use(self, equation: Equation) -> bool:
        """Book an equation; whether all that it computes with was there to be used."""
        sound = True
        for operand in equation.operands:
            sound = sound and (self._left[operand] > 0 or operand in self._constants)
            self._left[operand] -= 1
        for result in equation.stated:
            self._left[result] = max(self._left[result], 0) + 1
            self._result = result
        return sound

    def settles(self, answer: Fraction) -> bool:
        """Whether `answer` is the last result, with no given number left unused."""
        return answer == self._result and all(self._left[number] <= 0 for number in self._given)


def _stated_answer(text: str) -> Fraction | None:
    """The first number after "answer is", if the step states one."""
    _, found, rest = text.rpartition("answer is")
    return next(_numbers(rest), None) if found else None


def _numbers(text: str) -> Iterator[Fraction]:
    """Every number of a question, in digits or in words."""
    yield from (token.value for token in tokenise(plain(text)) if token.kind == "number")
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in _NUMBER_WORDS:
            yield Fraction(_NUMBER_WORDS[word])
