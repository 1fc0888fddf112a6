"""Finding the answer that a solution states: text only, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_STATED = 1000
"""Characters after "the answer is" that are looked at."""

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_BRACE = re.compile(r"(\\(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_FINAL_ANSWER = re.compile(r"final\s+answer(?:\s+is\b|\**\s*:)", re.IGNORECASE)
_ANSWER = re.compile(r"\banswer(?:\s+is\b|\**\s*:)", re.IGNORECASE)
_HASHES = re.compile(r"####")
_LEAD = re.compile(r"[\s:*_]*")
_SENTENCE_END = re.compile(r"\.(?:\s|\*|$)|\n|I hope\b")
_CLOSERS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_DOLLARS = re.compile(r"\$((?:\\.|[^$\\\n])+)\$(?!\d)")
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces balance, or None.

    Of nested boxes the inner one counts; an empty box, and one that never closes, does not.
    """
    first = min((at for at in (text.find("\\boxed"), text.find("\\fbox")) if at >= 0), default=-1)
    if first < 0:
        return None
    start, end = max(_closed_boxes(text, first), default=(0, 0))
    return text[start:end].strip() or None


def _closed_boxes(text: str, first: int) -> Iterator[tuple[int, int]]:
    """Where the content of each closed, filled box starts and ends."""
    open_braces: list[int | None] = []
    for brace in _BRACE.finditer(text, first):
        if brace.group(1):
            open_braces.append(brace.end())
        elif brace.group() == "{":
            open_braces.append(None)
        elif brace.group() == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and text[start : brace.start()].strip():
                yield start, brace.start()


def stated(text: str) -> str | None:
    """What follows the last "final answer is", else "answer is", else "####"; or None.

    A colon serves for "is". The answer is the formula that follows directly, else the rest of the
    sentence.
    """
    for anchor in (_FINAL_ANSWER, _ANSWER, _HASHES):
        answer = _after(text, _last_end(anchor, text))
        if answer is not None:
            return answer
    return None


def tagged(text: str) -> str | None:
    """What stands between the last `<answer>` and `</answer>` around some text, or None."""
    answer, start = None, None
    for tag in _TAG.finditer(text):
        if not tag.group(1):
            start = tag.end()
        elif start is not None:
            answer, start = text[start : tag.start()].strip() or answer, None
    return answer


def last_line(text: str) -> str:
    """The last line that is not blank, without the white space around it; else nothing."""
    return text.strip().rpartition("\n")[2].strip()


def last_number(text: str) -> str | None:
    """The last number in the text, without thousands separators; or None."""
    found = None
    for found in _NUMBER.finditer(text):  # noqa: B007 - the last one is read after the loop
        pass
    return None if found is None else found.group().replace(",", "")


def _last_end(anchor: re.Pattern[str], text: str) -> int | None:
    end = None
    for match in anchor.finditer(text):
        end = match.end()
    return end


def _after(text: str, start: int | None) -> str | None:
    """The answer that stands at `start`; None if there is none, or one cut off within a box."""
    if start is None:
        return None
    rest = text[start : start + LONGEST_STATED]
    rest = rest[_LEAD.match(rest).end() :]  # type: ignore[union-attr]
    answer = _formula(rest)
    if answer is None:
        answer = _SENTENCE_END.split(rest, maxsplit=1)[0].rstrip("*_.,;: \t")
    answer = answer.strip()
    return answer if answer and "\\boxed" not in answer else None


def _formula(rest: str) -> str | None:
    """The formula that `rest` begins with, without its delimiters; a price is none."""
    closer = _CLOSERS.get(rest[:2])
    if closer is not None:
        inner, found, _ = rest[2:].partition(closer)
        return inner if found else None
    inline = _DOLLARS.match(rest)
    return None if inline is None else inline.group(1)
