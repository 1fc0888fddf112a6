"""Where one step ends and the next begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from ponder.types import Completion, Step

DEFAULT_SEPARATOR = "\n\n"


def split(completion: Completion, separator: str | None) -> tuple[Step, ...]:
    """The completion's steps; none for a text of white space only, or of no token.

    A token is never split: with ids, a step ends with the token in which the separator completes.
    A rest of white space only belongs to the step before it, so that no step is empty.
    """
    if not completion.text.strip() or completion.token_ids == ():
        return ()  # text of no token: what was left of a character that the step before had split
    if completion.token_ids is None or completion.offsets is None:
        ends = _merge(completion.text, _text_ends(completion.text, separator))
        cuts = zip([0, *ends[:-1]], ends, strict=True)
        return tuple(
            Step(
                completion.text[start:end],
                logprobs=_logprobs(completion, start, end),
                tail=_tail(completion.text[start:end], separator),
            )
            for start, end in cuts
        )
    return tuple(_token_steps(completion, separator))


def first_end(text: str, separator: str | None) -> int | None:
    """Where the first separator of `text` ends, or None."""
    at = text.find(separator) if separator else -1
    return None if at < 0 or separator is None else at + len(separator)


def _tail(text: str, separator: str | None) -> int:
    """Characters from the last separator on, if only white space follows it; else 0."""
    at = text.rfind(separator) if separator else -1
    if at < 0 or separator is None or text[at + len(separator) :].strip():
        return 0
    return len(text) - at


def _text_ends(text: str, separator: str | None) -> list[int]:
    """Where each separator ends; last, the end of the text."""
    ends: list[int] = []
    at = text.find(separator) if separator else -1
    while separator and at >= 0:
        ends.append(at + len(separator))
        at = text.find(separator, ends[-1])
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    return ends


def _merge(text: str, ends: list[int]) -> list[int]:
    """The ends without those of white space only, which join the piece before (or after)."""
    kept: list[int] = []
    start = 0
    for end in ends:
        if text[start:end].strip():
            kept.append(end)
        elif kept:
            kept[-1] = end
        else:
            continue
        start = end
    return kept


def _logprobs(completion: Completion, start: int, end: int) -> tuple[float, ...] | None:
    """Of the tokens that begin in this part of the text; None: not told."""
    if completion.logprobs is None or completion.offsets is None:
        return None
    starts = (0, *completion.offsets[:-1])
    return completion.logprobs[bisect_left(starts, start) : bisect_left(starts, end)]


def _token_steps(completion: Completion, separator: str | None) -> Iterator[Step]:
    ids, offsets = completion.token_ids, completion.offsets
    assert ids is not None
    assert offsets is not None
    ends = _merge(completion.text, _at_tokens(_text_ends(completion.text, separator), offsets))
    logprobs = completion.logprobs
    first_token = first_char = 0
    for end in ends:
        last = end == len(completion.text)
        last_token = len(ids) if last else bisect_left(offsets, end, first_token) + 1
        yield Step(
            completion.text[first_char:end],
            ids[first_token:last_token],
            completion.tokenizer,
            logprobs[first_token:last_token] if logprobs else None,
            _tail(completion.text[first_char:end], separator),
        )
        first_token, first_char = last_token, end


def _at_tokens(ends: list[int], offsets: tuple[int, ...]) -> list[int]:
    """Each end moved on to the end of the token that it lies in."""
    moved: list[int] = []
    token = 0
    for end in ends:
        token = bisect_left(offsets, end, token)
        if not moved or moved[-1] < offsets[token]:
            moved.append(offsets[token])
    return moved
