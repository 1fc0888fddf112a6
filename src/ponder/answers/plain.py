r"""Keys of the answers that most solutions end with: numbers, fractions, words.

They are read without a LaTeX parser, in microseconds; whatever is not surely plain is left to it.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ponder.answers.keys import rational_key
from ponder.answers.quantity import quantity
from ponder.answers.words import word_key

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_DECIMAL = re.compile(rf"([+-]?)\s*({_INTEGER}(?:\.\d*)?|\.\d+)\.?")
_FRACTION = re.compile(
    r"([+-]?)\s*(\d*)\s*\\[dtc]?frac\s*(?:\{\s*([+-]?\d+)\s*\}|(\d))\s*(?:\{\s*([+-]?\d+)\s*\}|(\d))"
)
_SLASHED = re.compile(r"([+-]?)()\s*(\d+)()\s*/\s*(\d+)()")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline\s*\{?\s*(\d+)\s*\}?")


def plain_key(raw: str) -> str | None:
    """The key of a number, a fraction or words; None if `raw` is anything else."""
    value = plain_number(raw)
    return word_key(raw) if value is None else rational_key(value)


def plain_number(raw: str) -> Fraction | None:
    """The exact value of a number as people write it, units and a percent sign left out."""
    number, scale = quantity(raw)
    for read in (_decimal, _repeating, _fraction):
        value = read(number)
        if value is not None:
            return value * scale
    return None


def _decimal(number: str) -> Fraction | None:
    match = _DECIMAL.fullmatch(number)
    return None if match is None else Fraction(match.group(1) + re.sub("[ ,]", "", match.group(2)))


def _repeating(number: str) -> Fraction | None:
    """0.1666... is 1/10 + 6/90."""
    match = _REPEATING.fullmatch(number)
    if match is None:
        return None
    sign, whole, fixed, period = match.groups()
    start = Fraction(f"{whole or 0}.{fixed or 0}")
    value = start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return -value if sign == "-" else value


def _fraction(number: str) -> Fraction | None:
    """A fraction or a mixed number."""
    match = _FRACTION.fullmatch(number) or _SLASHED.fullmatch(number)
    if match is None:
        return None
    sign, whole, *parts = match.groups(default="")
    numerator, denominator = int(parts[0] or parts[1]), int(parts[2] or parts[3])
    if denominator == 0 or (whole and (numerator < 0 or denominator < 0)):
        return None
    value = Fraction(numerator, denominator) + int(whole or 0)
    return -value if sign == "-" else value
