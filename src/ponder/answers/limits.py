"""What is too large to compute: refused by size, before anything is parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The table of limits on one answer."""

    length: int = 1000
    """Characters."""
    nesting: int = 30
    """Open braces, brackets and parentheses at once."""
    digits: int = 300
    """Digits in a row."""
    exponent: int = 10_000
    """Size of an integer written as an exponent."""
    tower: int = 2
    """Exponents within exponents."""
    factorial: int = 10_000
    """Size of an integer written before "!"."""


LIMITS = Limits()
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[{(]*\s*[-+]?\s*(\d+)")
_FACTORIAL = re.compile(r"(?<!\d)(\d+)\s*[})]*\s*!")
_RAISED = re.compile(r"\^|\*\*")
_CHAIN = re.compile(r"(?:(?:\^|\*\*)\s*(?:\d+|[a-zA-Z])\s*)+")
_MARK = re.compile(r"(?:\^|\*\*)\s*[{(\[]?|[{(\[})\]]")
_DIGITS = re.compile(r"\d+")
_OPEN, _CLOSE = "{[(", "}])"


def refusal(raw: str, limits: Limits = LIMITS) -> str | None:
    """Why `raw` is not computed, as one line that names the limit; None if it may be."""
    if len(raw) > limits.length:
        return f"{len(raw)} characters: more than {limits.length}"
    depth, tower = _nesting(raw)
    found = (
        ("nesting", depth, limits.nesting),
        ("digits", max((len(run) for run in _DIGITS.findall(raw)), default=0), limits.digits),
        ("exponent", _largest(_EXPONENT, raw), limits.exponent),
        ("tower of exponents", tower, limits.tower),
        ("factorial", _largest(_FACTORIAL, raw), limits.factorial),
    )
    for what, size, limit in found:
        if size > limit:
            return f"{what} of more than {limit}"
    return None


def _largest(pattern: re.Pattern[str], raw: str) -> int:
    """The largest integer that `pattern` finds; its digits are cut, which keeps it too large."""
    return max((int(number[:20]) for number in pattern.findall(raw)), default=0)


def _nesting(raw: str) -> tuple[int, int]:
    """The deepest nesting of brackets, and of exponents: "a^{b^c}" has two, as has "a^b^c"."""
    deepest = 0
    tallest = max((len(_RAISED.findall(chain)) for chain in _CHAIN.findall(raw)), default=0)
    brackets: list[bool] = []
    for mark in _MARK.findall(raw):
        raised = mark[0] in "^*"
        if raised:
            tallest = max(tallest, 1 + sum(brackets))
        if mark[-1] in _OPEN:
            brackets.append(raised)
        elif mark in _CLOSE and brackets:
            brackets.pop()
        deepest = max(deepest, len(brackets))
    return deepest, tallest
