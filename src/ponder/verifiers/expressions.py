"""Evaluates arithmetic exactly, in linear time and within bounds of size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from ponder.verifiers.lexer import Token

MAX_BITS: Final = 512
"""Of any intermediate numerator or denominator."""
MAX_EXPONENT: Final = 64

_PRECEDENCE: Final = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "of": 2, "negate": 3, "^": 4}


class Expression(NamedTuple):
    """One evaluated side of an equation."""

    value: Fraction
    operands: tuple[Fraction, ...]
    """Its numbers as written, in order."""
    literal: bool
    """It is one number, without any operation."""
    decimals: int
    """Digits after the point of its first number, two more if that is a percentage."""
    percentage: bool
    """It ends with a percent sign."""
    leading: Fraction
    """Its first operand's value."""


def evaluate(tokens: Sequence[Token]) -> Expression | None:
    """The expression that `tokens` are, or None if they are none or outgrow the bounds.

    Precedence and associativity are the usual ones; `^` binds to the right and over a sign before
    it; "of" multiplies, and so does a parenthesis right behind a number.
    """
    calculation = _Calculation()
    try:
        for last, token in zip((None, *tokens), tokens, strict=False):
            calculation.read(token, last)
        value = calculation.finish()
    except (ValueError, ArithmeticError):
        return None
    numbers = [token for token in tokens if token.kind == "number"]
    percent = len(tokens) > 1 and tokens[1].kind == "percent"
    return Expression(
        value,
        tuple(token.value for token in numbers),
        len(numbers) == 1 and not calculation.operated,
        numbers[0].decimals + 2 * percent,
        tokens[-1].kind == "percent",
        numbers[0].value / (100 if percent else 1),
    )


class _Calculation:
    """Dijkstra's shunting yard: a stack of values, a stack of operators that wait."""

    def __init__(self) -> None:
        self.values: list[Fraction] = []
        self.waiting: list[str] = []
        self.operated = False
        self.wants_operand = True

    def read(self, token: Token, last: Token | None) -> None:
        """Take the next token; ValueError if it cannot stand here."""
        if self.wants_operand:
            self._operand(token)
        elif token.kind == "percent":
            self.values[-1] /= 100
        elif token.kind == "close":
            self._close()
        elif token.kind in ("operator", "sign"):
            self._operator(token.text)
        elif token.kind == "open" and last is not None and last.end == token.start:
            self._operator("*")
            self.waiting.append("(")
        else:
            raise ValueError(token.text)

    def finish(self) -> Fraction:
        """The value of all that was read."""
        if self.wants_operand:
            raise ValueError("an operand is missing")
        while self.waiting:
            self._apply(self.waiting.pop())
        (value,) = self.values
        return value

    def _operand(self, token: Token) -> None:
        if token.kind == "number":
            self.values.append(token.value)
            self.wants_operand = False
        elif token.kind == "open":
            self.waiting.append("(")
        elif token.text == "-":
            self.waiting.append("negate")
        else:
            raise ValueError(token.text)

    def _operator(self, name: str) -> None:
        rank = _PRECEDENCE[name] + (name == "^")
        while self.waiting and _PRECEDENCE[self.waiting[-1]] >= rank:
            self._apply(self.waiting.pop())
        self.waiting.append(name)
        self.operated = self.wants_operand = True

    def _close(self) -> None:
        while self.waiting and self.waiting[-1] != "(":
            self._apply(self.waiting.pop())
        if not self.waiting:
            raise ValueError(")")
        self.waiting.pop()

    def _apply(self, name: str) -> None:
        if name == "(":
            raise ValueError(name)
        right = self.values.pop()
        result = -right if name == "negate" else _operate(name, self.values.pop(), right)
        if max(result.numerator.bit_length(), result.denominator.bit_length()) > MAX_BITS:
            raise OverflowError("a number outgrows MAX_BITS")
        self.values.append(result)


def _operate(name: str, left: Fraction, right: Fraction) -> Fraction:
    if name == "+":
        return left + right
    if name == "-":
        return left - right
    if name == "/":
        return left / right
    if name == "^":
        return _power(left, right)
    return left * right


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise ValueError("only whole exponents are exact")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) > MAX_EXPONENT or bits * abs(exponent) > 2 * MAX_BITS:
        raise OverflowError("a power outgrows its bounds")
    return Fraction(base ** int(exponent))
