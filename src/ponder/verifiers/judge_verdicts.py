"""What a critique says: pure functions from its text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

QUESTION = "Is the solution correct?"
"""What a critique of a whole solution ends with, before its yes or no (as ThinkPRM's do)."""

_VERDICT = re.compile(r"is the solution correct\?[\s*_`:]*(?:\\boxed\{)?(yes|no)\b", re.IGNORECASE)
_ASKED = re.compile(re.escape(QUESTION), re.IGNORECASE)
_BARE = re.compile(r"[\s*_`]*(yes|no)[\s*_`.!]*", re.IGNORECASE)
_BARE_INDEX = re.compile(r"\s*(-?\d{1,6})\s*")
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*(-?\d{1,6})\s*\}")


def verdict_of(critique: str) -> bool | None:
    """Whether the critique's last verdict is yes; None where it gives none.

    A last line that is nothing but yes or no is a verdict, too.
    """
    bare = _BARE.fullmatch(critique.strip().rpartition("\n")[2])
    found = [bare[1]] if bare else _VERDICT.findall(critique)
    return found[-1].lower() == "yes" if found else None


def before_verdict(critique: str) -> str:
    """The critique up to where it asks for the verdict last, which is then asked for anew."""
    asked = [found.start() for found in _ASKED.finditer(critique)]
    return critique[: asked[-1]].rstrip(" \n*_`") if asked else critique.rstrip()


def first_wrong_of(critique: str, paragraphs: int) -> int | None:
    """The boxed index of the first wrong paragraph, -1 for none.

    The last box counts, or an answer that is nothing but a number. None where there is neither,
    or where no paragraph has that index.
    """
    bare = _BARE_INDEX.fullmatch(critique)
    found = [bare[1]] if bare else _BOXED.findall(critique)
    index = int(found[-1]) if found else None
    return index if index is not None and -1 <= index < paragraphs else None


def majority(indices: Sequence[int]) -> int:
    """The most frequent index, ties to the one that came first (ProcessBench, section 4.1)."""
    return Counter(indices).most_common(1)[0][0]


def numbered(paragraphs: Sequence[str]) -> str:
    """The paragraphs in ProcessBench's tags, counted from 0."""
    tagged = (
        f"<paragraph_{number}>\n{text}\n</paragraph_{number}>"
        for number, text in enumerate(paragraphs)
    )
    return "\n\n".join(tagged)
