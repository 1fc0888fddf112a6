"""Finds every equation in a text and checks it exactly.

A side is read outwards from its sign of equality, through units ("6 apples + 7 apples = 13
apples"). A chain is checked link by link, and a link that runs on ("2 + 3 = 5 + 1 = 6") by the
number next to the sign. An equation between two bare numbers, or with something that cannot be
evaluated, is not counted: what is not sure to be arithmetic is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from ponder.verifiers.expressions import Expression, evaluate
from ponder.verifiers.lexer import Token, plain, tokenise

MAX_UNIT_WORDS: Final = 6
"""Words between a number and the operator or sign that follows it."""

_MEASURES: Final = frozenset({
    "second", "minute", "hour", "day", "week", "month", "year", "inch", "inche", "foot", "feet",
    "yard", "mile", "mm", "cm", "m", "meter", "metre", "km", "kilometer", "kilometre", "g", "gram",
    "ft", "sq", "kg", "kilogram", "ounce", "pound", "cup", "pint", "quart", "gallon", "ml", "l",
    "liter", "litre", "¢", "cent", "penny", "pennie", "nickel", "dime", "quarter", "dollar",
})  # fmt: skip
"""Units without a plural s; a disagreement between two of them may be a conversion."""


class Equation(NamedTuple):
    """A statement that two numbers are equal, at least one of them computed."""

    text: str
    holds: bool
    """Exactly, or as far as the result's decimals show, rounded or cut off; `≈` within 1 %."""
    operands: tuple[Fraction, ...]
    """Numbers that it computes with, as written."""
    stated: tuple[Fraction, ...]
    """Numbers on its other side: the result, or the next form of the calculation."""


class _Run(NamedTuple):
    """A stretch of arithmetic within one side."""

    expression: Expression | None
    units: frozenset[str]
    start: int
    end: int
    opens: bool
    """Nothing stands before it in its side."""
    closes: bool
    """Nothing but a few unit words stands after it."""


def find_equations(text: str) -> tuple[Equation, ...]:
    """Every equation of `text`, in order; linear time."""
    text = plain(text)
    found: list[Equation] = []
    for chain in _chains(tokenise(text)):
        sides = [list(_runs(_matched(side))) for side in _sides(chain)]
        signs = [token.text for token in chain if token.kind == "equals"]
        for (before, after), sign in zip(pairwise(sides), signs, strict=True):
            if before and after and before[-1].closes and after[0].opens:
                found.extend(_equation(text, before[-1], after[0], sign == "≈"))
    return tuple(found)


def _chains(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Stretches between breaks that hold a sign of equality."""
    chain: list[Token] = []
    for token in tokens:
        if token.kind != "break":
            chain.append(token)
            continue
        yield chain
        chain = []
    yield chain


def _sides(chain: Sequence[Token]) -> list[list[Token]]:
    sides: list[list[Token]] = [[]]
    for token in chain:
        if token.kind == "equals":
            sides.append([])
        else:
            sides[-1].append(token)
    return sides


def _matched(side: Sequence[Token]) -> list[Token]:
    """The side with each parenthesis that has no partner turned into a break."""
    tokens = list(side)
    open_at: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "open":
            open_at.append(index)
        elif token.kind == "close" and open_at:
            open_at.pop()
        elif token.kind == "close":
            tokens[index] = token._replace(kind="break")
    for index in open_at:
        tokens[index] = tokens[index]._replace(kind="break")
    return tokens


class _RunBuilder:
    """Gathers one run, with the unit words in it."""

    def __init__(self, opens: bool) -> None:
        self.tokens: list[Token] = []
        self.words: list[str] = []
        self.units: set[str] = set()
        self.opens = opens
        self.part_of_unknown = False

    def ends_before(self, token: Token) -> bool:
        """`token` is no part of it: a break, or a number that words lead to."""
        goes_on = token.kind in ("word", "operator", "close", "percent")
        too_far = token.kind != "word" and len(self.words) > MAX_UNIT_WORDS
        return token.kind == "break" or bool(self.words and (too_far or not goes_on))

    def add(self, token: Token) -> None:
        """Take the next token of arithmetic, its unit, or a word."""
        if token.kind == "unit":
            self.units.add(token.text)
        elif token.kind == "word":
            self._add_word(token)
        else:
            self._settle_words()
            self.tokens.append(token)

    def _add_word(self, word: Token) -> None:
        """A word after an operand is its unit; after an operator, an unknown operand.

        But "60 miles/hour" does not divide, and in "1/2 of the cards" the whole is unknown.
        """
        last = self.tokens[-1]
        if last.text in ("/", "of") and len(self.tokens) > 1:
            self.tokens.pop()
            self.part_of_unknown = last.text == "of"
            self.words.append(word.text)
        elif last.kind in ("operator", "sign", "open"):
            self.tokens.append(word._replace(kind="variable"))
        elif word.text == "of" and not self.words and self._is_share():
            self.tokens.append(word._replace(kind="operator"))
        else:
            self.words.append(word.text)

    def _is_share(self) -> bool:
        fraction = len(self.tokens) > 1 and self.tokens[-2].text == "/"
        return fraction or self.tokens[-1].kind in ("percent", "close", "variable")

    def build(self, closes: bool) -> _Run:
        """The run as it stands."""
        closes = closes and len(self.words) <= MAX_UNIT_WORDS and not self.part_of_unknown
        self._settle_words()
        start, end = self.tokens[0].start, self.tokens[-1].end
        units = frozenset(self.units)
        return _Run(evaluate(self.tokens), units, start, end, self.opens, closes)

    def _settle_words(self) -> None:
        self.units.update(word.removesuffix("s") for word in self.words[:2])
        self.words = []


def _runs(side: Sequence[Token]) -> Iterator[_Run]:
    """The side's runs of arithmetic, from left to right."""
    run: _RunBuilder | None = None
    last: Token | None = None
    for token in side:
        counted = run is not None and len(run.words) == 2 and run.words[1] == "of"
        if run is not None and run.ends_before(token):
            yield run.build(closes=False)
            run = None
        if run is None and token.kind not in ("word", "break"):
            run = _RunBuilder(opens=last is None)
            if last is not None and (counted or _belongs_to(last, token)):
                run.add(last._replace(kind="variable"))
        if run is not None:
            run.add(token)
        last = token
    if run is not None:
        yield run.build(closes=True)


def _belongs_to(word: Token, token: Token) -> bool:
    """`token` goes on from a word: an operand in words, or a function's argument."""
    called = token.kind == "open" and word.end == token.start
    return word.kind == "word" and (token.kind == "operator" or called)


def _equation(text: str, before: _Run, after: _Run, about: bool) -> Iterator[Equation]:
    """The equation of two sides, if there is something to check and no units to convert."""
    left, right = before.expression, after.expression
    if left is None or right is None or (left.literal and right.literal):
        return
    agree = _agree(left, right, about)
    runs_on = not agree and left.value == right.leading
    if not (agree or runs_on) and _converts(before.units | after.units):
        return
    computed, other = (right, left) if left.literal else (left, right)
    stated = (right.leading,) if runs_on else other.operands
    words = " ".join(text[before.start : after.end].split())
    yield Equation(words, agree or runs_on, computed.operands, stated)


def _converts(units: frozenset[str]) -> bool:
    """The sides may differ by a change of units, or by the remainder of a division."""
    return "remainder" in units or len(_MEASURES & units) > 1


def _agree(left: Expression, right: Expression, about: bool) -> bool:
    if left.value == right.value:
        return True
    if left.percentage != right.percentage:
        percentage, other = (left, right) if left.percentage else (right, left)
        if percentage.value * 100 == other.value:  # "1 / 4 * 100 = 25%"
            return True
    if about and abs(left.value - right.value) * 100 <= abs(left.value):
        return True
    exact, stated = (left, right) if right.literal else (right, left)
    return stated.literal and _rounds_to(exact.value, stated, about)


def _rounds_to(exact: Fraction, stated: Expression, about: bool) -> bool:
    """`stated` is `exact` rounded or cut off at its last shown decimal."""
    if not (stated.decimals or about):
        return False
    unit = Fraction(1, 10**stated.decimals)
    error = abs(exact) - abs(stated.value)
    return exact * stated.value >= 0 and -unit / 2 <= error < unit
