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

from ponder.verifiers.expressions import Expression
from ponder.verifiers.lexer import Token, plain, tokenise
from ponder.verifiers.runs import Run, runs_of

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


def find_equations(text: str) -> tuple[Equation, ...]:
    """Every equation of `text`, in order; linear time."""
    text = plain(text)
    found: list[Equation] = []
    for chain in _chains(tokenise(text)):
        sides = [list(runs_of(side)) for side in _sides(chain)]
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


def _equation(text: str, before: Run, after: Run, about: bool) -> Iterator[Equation]:
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
