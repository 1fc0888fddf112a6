r"""Keys of the answers that most solutions end with: numbers, fractions, words.

They are read without a LaTeX parser, in microseconds; whatever is not surely plain is left to it.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ponder.answers.keys import rational_key, text_key

_DROPPED = re.compile(r"\\!|\\,(?=\d{3}(?!\d))|\\\$|\$|\\(?:left|right|displaystyle)\b")
_SPACE = re.compile(r"\\[,;: ]|~")
_TEXT_UNIT = re.compile(
    r"\\(?:text|textbf|textrm|mathrm|mbox)\s*\{([^{}]*)\}\s*(?:\^\s*(?:\d|\{\d\}))?\s*$"
)
_WORD_UNIT = re.compile(
    r"(?<=[\d}])\s*(?:(?:[a-zA-Z]{3,}|cm|mm|km|kg|mg|ml|ft|lb|oz|yd|mi)\b\.?\s*)+(?:\^\s*[23])?$"
)
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|°")
_PERCENT = re.compile(r"\s*(?:\\?%|\b(?:percent|pct)\b)\s*$")
_ASSIGNED = re.compile(r"^\s*[a-zA-Z](?:_(?:\w|\{\w+\}))?\s*=(?!=)\s*")
_MEANING = re.compile(
    r"(?:million|billion|trillion|thousand|hundred|dozen|score|pi|inf|infinity|sqrt|cbrt|frac"
    r"|sin|cos|tan|log|exp|mod|and|or|over|times|plus|minus|squared|cubed|[ap]\.?m)\.?",
    re.IGNORECASE,
)
_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_DECIMAL = re.compile(rf"([+-]?)\s*({_INTEGER}(?:\.\d*)?|\.\d+)\.?")
_FRACTION = re.compile(
    r"([+-]?)\s*(\d*)\s*\\[dtc]?frac\s*(?:\{\s*([+-]?\d+)\s*\}|(\d))\s*(?:\{\s*([+-]?\d+)\s*\}|(\d))"
)
_SLASHED = re.compile(r"([+-]?)()\s*(\d+)()\s*/\s*(\d+)()")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline\s*\{?\s*(\d+)\s*\}?")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}\\$]*)\}")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '.,-]+[^\W\d_]+)*\.?")
_CONSTANTS = frozenset("eiEI")


def plain_key(raw: str) -> str | None:
    """The key of a number, fraction or word; None if `raw` is anything else."""
    value = plain_number(raw)
    return rational_key(value) if value is not None else _word_key(raw)


def plain_number(raw: str) -> Fraction | None:
    """The exact value of a number as people write it, units and a percent sign left out."""
    number = _SPACE.sub(" ", _DROPPED.sub("", raw.replace("{,}", ",")))
    number = _ASSIGNED.sub("", number)
    number = _PERCENT.sub("", _DEGREES.sub("", _without_unit(number))).strip()
    decimal = _DECIMAL.fullmatch(number)
    if decimal:
        return Fraction(decimal.group(1) + re.sub("[ ,]", "", decimal.group(2)))
    repeating = _REPEATING.fullmatch(number)
    if repeating:
        return _repeating(*repeating.groups())
    fraction = _FRACTION.fullmatch(number) or _SLASHED.fullmatch(number)
    return None if fraction is None else _fraction(fraction)


def _repeating(sign: str, whole: str, fixed: str, period: str) -> Fraction:
    """0.1666... is 1/10 + 6/90."""
    start = Fraction(f"{whole or 0}.{fixed or 0}")
    rest = Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return -(start + rest) if sign == "-" else start + rest


def _fraction(match: re.Match[str]) -> Fraction | None:
    sign, whole, *parts = match.groups(default="")
    numerator, denominator = int(parts[0] or parts[1]), int(parts[2] or parts[3])
    if denominator == 0 or (whole and (numerator < 0 or denominator < 0)):
        return None
    value = Fraction(numerator, denominator) + int(whole or 0)
    return -value if sign == "-" else value


def _without_unit(number: str) -> str:
    """`number` without the unit behind it, unless that word changes the value."""
    for unit in (_TEXT_UNIT, _WORD_UNIT):
        found = unit.search(number)
        if found and found.start() and not _has_meaning(found.group()):
            return number[: found.start()]
    return number


def _has_meaning(words: str) -> bool:
    return any(_MEANING.fullmatch(word) for word in re.findall(r"[a-zA-Z.]+", words))


def _word_key(raw: str) -> str | None:
    """The key of a name, a word or one letter; a constant or a function's name is no word."""
    words = raw.strip().strip("$").strip()
    text = _TEXT.fullmatch(words)
    words = (words if text is None else text.group(1)).strip()
    if not _WORDS.fullmatch(words) or (text is None and _has_meaning(words)):
        return None
    letters = sum(sign.isalpha() for sign in words)
    if text is None and (letters == 2 or words in _CONSTANTS):
        return None
    return text_key(words)
