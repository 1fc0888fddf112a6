"""Answers that are words, a letter or a time of day."""

from __future__ import annotations

import re

from ponder.answers.keys import text_key
from ponder.answers.quantity import has_meaning

_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}\\$]*)\}")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '.,-]+[^\W\d_]+)*\.?")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?\s*([ap])\.?\s*m\.?", re.IGNORECASE)
_CONSTANTS = frozenset("eiEI")
_SHORTEST = 3
"""Letters of a word; two could be a product of names. "No" is the exception."""


def word_key(raw: str) -> str | None:
    """The key of a name, of words, of one letter or a time; None for anything else."""
    bare = raw.strip().strip("$").strip()
    text = _TEXT.fullmatch(bare)
    if text is not None and _WORDS.fullmatch(text.group(1).strip()):
        return text_key(bare)
    letter = len(bare) == 1 and bare.isalpha() and bare not in _CONSTANTS
    if letter or is_words(bare):
        return text_key(bare)
    time = time_of_day(bare)
    return None if time is None else text_key(time)


def is_words(raw: str) -> bool:
    """Whether `raw` is a word or several, and neither a product of names nor a function."""
    words = raw.strip()
    if not _WORDS.fullmatch(words) or has_meaning(words):
        return False
    return sum(sign.isalpha() for sign in words) >= _SHORTEST or words.casefold() == "no"


def time_of_day(raw: str) -> str | None:
    r"""The time that "3 p.m." or "10:30\text{ am}" names, in one spelling; None if none."""
    found = _CLOCK.fullmatch(_TEXT.sub(r"\1", raw).strip())
    if found is None:
        return None
    hour, minutes, half = found.groups(default="00")
    return f"{int(hour)}:{minutes}{half.lower()}m"
