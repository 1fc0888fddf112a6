"""One comparison by math-verify. Runs in worker processes, which bound its time and memory."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

from math_verify import (
    ExprExtractionConfig,
    LatexExtractionConfig,
    StringExtractionConfig,
    parse,
    verify,
)
from sympy import Basic, I, MatrixBase, Symbol

from ponder.answers.extraction import boxed, stated
from ponder.answers.latex import tidied
from ponder.answers.limits import LIMITS, refusal
from ponder.answers.plain import plain_number
from ponder.answers.quantity import quantity
from ponder.answers.words import is_words, time_of_day
from ponder.errors import UsageError

DEFAULT_MATCH_TYPES = ("latex", "expr")

_TARGETS = {
    "latex": LatexExtractionConfig,
    "expr": ExprExtractionConfig,
    "string": StringExtractionConfig,
}
_READING = ("match_types", "precision")
_DELIMITER = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\fbox")
_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{[^{}]*\}|\\[a-zA-Z]+|\b(?:and|or)\b"
)
_PROSE = re.compile(
    r"(?<![^\W\d_])[^\W\d_]{2,}+(?:[,:]?\s++(?:[^\W\d_]{2,}|-?\d)|[.:!?]\s)|\d\s++[^\W\d_]{3,}"
)
_AS_WRITTEN = re.compile(r"=|%|percent|pct")


def verdict(gold: str, pred: str, params: Mapping[str, object]) -> bool:
    """Whether math-verify finds `pred` equal to `gold`, read and compared by `params`.

    Raises UsageError for a side that is too large to compute.
    """
    logging.disable(logging.WARNING)
    names = params.get("match_types", DEFAULT_MATCH_TYPES)
    assert isinstance(names, Sequence)
    sides = [list(map(unified, parsed(side, names))) for side in (gold, pred)]
    options = {name: value for name, value in params.items() if name not in _READING}
    if "precision" in params:
        options["float_rounding"] = params["precision"]
    return bool(verify(*sides, timeout_seconds=None, **options))


def parsed(side: str, names: Sequence[str]) -> list[object]:
    """What `side` means: a bare answer as LaTeX if it can be, else what is extracted from it."""
    bare = is_bare(side)
    reason = refusal(side if bare else boxed(side) or "")
    if reason is not None:
        raise UsageError(reason)
    if bare and "latex" in names:
        found = _formula(as_latex(side))
        if found:
            return found
    found = list(parse(side, [_TARGETS[name]() for name in names], parsing_timeout=None))
    answer = stated(side)
    return found or ([] if bare or answer is None else _formula(as_latex(answer)))


def unified(item: object) -> object:
    """`item` with "i" as the imaginary unit and every other name real.

    math-verify reads both so or otherwise depending on what stands beside an "i".
    """
    if not isinstance(item, Basic | MatrixBase):
        return item
    names = {
        symbol: I if symbol.name == "i" else Symbol(symbol.name, real=True)
        for symbol in item.free_symbols
    }
    changed = {symbol: name for symbol, name in names.items() if symbol != name}
    return item.xreplace(changed) if changed else item


def is_bare(side: str) -> bool:
    """Whether `side` is an answer by itself: no delimiter, no box, one line, no prose.

    A matrix may have several lines.
    """
    if _DELIMITER.search(side) or ("\n" in side.strip() and r"\begin{" not in side):
        return False
    if not _PROSE.search(_COMMAND.sub("@", side)):
        return True
    if len(side) > LIMITS.length or stated(side) is not None:
        return False
    return is_words(side) or _measured(side) is not None


def as_latex(bare: str) -> str:
    """The LaTeX of a bare answer: words as text, numbers without what surrounds them."""
    words = bare if is_words(bare) else time_of_day(bare)
    if words is not None:
        return rf"\text{{{words}}}"
    return tidied(_measured(bare) or bare)


def _measured(bare: str) -> str | None:
    """The number alone, of one with a unit; None for others, percentages and equations."""
    value = None if _AS_WRITTEN.search(bare) else plain_number(bare)
    if value is None:
        return None
    if value.denominator == 1 or r"\overline" in bare:
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    return quantity(bare)[0]


def _formula(latex: str) -> list[object]:
    """What math-verify makes of a formula; nothing if it cannot parse it."""
    found = parse(f"${latex}$", [LatexExtractionConfig()], parsing_timeout=None)
    return [] if all(isinstance(item, str) for item in found) else list(found)
