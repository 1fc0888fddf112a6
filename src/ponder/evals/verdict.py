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

from ponder.answers.extraction import boxed
from ponder.answers.limits import refusal

DEFAULT_MATCH_TYPES = ("latex", "expr")

_TARGETS = {
    "latex": LatexExtractionConfig,
    "expr": ExprExtractionConfig,
    "string": StringExtractionConfig,
}
_DELIMITER = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\fbox|\n")
_QUOTED = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{[^{}]*\}")
_PROSE = re.compile(
    r"[^\W\d_\\]{2,}[,:]?\s+(?:[^\W\d_]{2,}\b|-?\d)"  # two words, or a word and a number
    r"|\d\s+[^\W\d_]{3,}\b"  # a number and its unit
    r"|[.:!?]\s|\banswer\b"
)


def verdict(gold: str, pred: str, params: Mapping[str, object]) -> bool:
    """Whether math-verify finds `pred` equal to `gold`, read and compared by `params`.

    Raises ValueError for a side that is too large to compute.
    """
    logging.disable(logging.WARNING)
    names = params.get("match_types", DEFAULT_MATCH_TYPES)
    assert isinstance(names, Sequence)
    sides = [_parsed(side, names) for side in (gold, pred)]
    options = {name: value for name, value in params.items() if name not in _READING}
    if "precision" in params:
        options["float_rounding"] = params["precision"]
    return bool(verify(*sides, timeout_seconds=None, **options))


_READING = ("match_types", "precision")


def is_bare(side: str) -> bool:
    """Whether `side` is an answer by itself: no delimiter, no box, one line, no prose."""
    return not (_DELIMITER.search(side) or _PROSE.search(_QUOTED.sub("", side)))


def _parsed(side: str, names: Sequence[str]) -> list[object]:
    """A bare answer read as LaTeX if it can be, else what is extracted from the text."""
    bare = is_bare(side)
    reason = refusal(side if bare else boxed(side) or "")
    if reason is not None:
        raise ValueError(reason)
    if bare and "latex" in names:
        parsed = parse(f"${side}$", [LatexExtractionConfig()], parsing_timeout=None)
        if any(not isinstance(item, str) for item in parsed):
            return list(parsed)
    return list(parse(side, [_TARGETS[name]() for name in names], parsing_timeout=None))
