"""The parts of a canonical key: equal answers have equal keys, in every process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

DIGITS = 50
"""Significant digits in which two numbers must agree."""
LONGEST = 200
"""Characters of a key; a longer one is cut to its hash."""

_CONTEXT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, Emin=-(10**12), Emax=10**12)
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname)\b")
_SPACING = re.compile(r"\\[,;:! ]|\\q?quad\b|[\s~${}]+")
_EDGE = ".,;:!?*_'\""


def rational_key(value: Fraction) -> str:
    """The key of an exact number."""
    quotient = _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return decimal_key(quotient)


def decimal_key(value: Decimal) -> str:
    """The key of a number known to more than `DIGITS` digits."""
    rounded = value.normalize(_CONTEXT)
    if not rounded:
        return "number:0"
    return f"number:{rounded:f}" if abs(rounded.adjusted()) < DIGITS else f"number:{rounded:E}"


def collection_key(kind: str, elements: Iterable[str]) -> str:
    """The key of a collection, in the order given."""
    return bounded(f"{kind}({';'.join(elements)})")


def text_key(raw: str) -> str:
    """The key of an answer that is no formula: case, spaces, styling and end marks left out."""
    plain = _SPACING.sub("", _WRAPPER.sub("", raw)).strip(_EDGE).casefold()
    if plain.startswith("(") and plain.endswith(")") and plain.count("(") == 1:
        plain = plain[1:-1]
    return bounded(f"text:{plain}")


def bounded(key: str) -> str:
    """`key`, or its start and hash if it is long."""
    if len(key) <= LONGEST:
        return key
    return f"{key[:40]}...{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"
