"""Reads one sample as it streams in: finds where its step or solution ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ponder.engines.openai.wire import Choice, Piece, pieces
from ponder.types import Completion, Ended, Sampling, Usage

Fact = TypeVar("Fact")

FINISHED = ("stop", "length", "eos_token", "stop_sequence")
"""Finish reasons of whole samples: OpenAI's, and text-generation-inference's for "stop"."""


class Cut(NamedTuple):
    """Where a text ends, and as what."""

    at: int
    """Characters that stay."""
    ended: Ended


@dataclass(slots=True)
class Tokens:
    """The tokens of one sample; a list is None once a piece came without its kind of fact."""

    ids: list[int] | None = field(default_factory=list)
    logprobs: list[float] | None = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Where each token's piece ends in the text, in characters."""
    lump: int | None = None
    """Where the last piece of several tokens ends."""
    count: int | None = 0
    """Tokens drawn; 0 when none was told, since even an empty answer has its end-of-text token."""

    def add(self, piece: Piece, end: int) -> None:
        """Take in a piece that ends at `end`."""
        size = piece.tokens
        self.ids = _extended(self.ids, piece.ids)
        self.logprobs = _extended(self.logprobs, piece.logprobs)
        self.count = None if self.count is None or size is None else self.count + size
        self.offsets += [end] * (size or 0)
        if (size or 0) > 1:
            self.lump = end

    def keep(self, count: int) -> None:
        """Drop all tokens but the first `count`; they stay counted, since they were drawn."""
        del self.offsets[count:]
        del (self.ids or [])[count:]
        del (self.logprobs or [])[count:]


@dataclass(slots=True)
class Reader:
    """Collects the pieces of one sample until it has ended."""

    index: int
    """Its place among the seeds asked for."""
    sampling: Sampling
    tokenizer: str | None = None
    """Fingerprint of the server's tokenizer: then a token is never split, and a step ends with the
    token in which the separator completes. None: text only, and a step is cut at its separator."""
    cut: Cut | None = None
    """Set once the text has ended here, whatever the server still sends."""
    reason: str | None = None
    """The server's `finish_reason`."""
    stopped_by: str | int | None = None
    text: str = ""
    reasoning: str = ""
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def ended(self) -> bool:
        """Nothing more is wanted of the server."""
        return self.cut is not None or self.reason is not None

    def feed(self, choice: Choice) -> None:
        """Take in what a chunk adds; what comes after the end is left out."""
        self.reasoning += choice.reasoning
        for piece in pieces(choice):
            if self.cut is None:
                self._add(piece)
        if choice.finish_reason is not None:
            self.reason, self.stopped_by = choice.finish_reason, choice.stopped_by

    def completion(self, told: Usage) -> Completion:
        """The sample, or its failure; `told` is what the server says it cost."""
        if self.cut is None and self.reason not in FINISHED:
            ending = f"as {self.reason!r}" if self.reason else "before its end"
            return self.failed(f"the server ended the answer {ending}", told)
        usage = self._usage(told)
        ended = self._close(usage.generated)
        ids = self._told(self.tokens.ids) if self.tokenizer else None
        return Completion(
            index=self.index,
            text=self.text,
            ended=ended,
            usage=usage,
            token_ids=ids,
            tokenizer=None if ids is None else self.tokenizer,
            logprobs=self._told(self.tokens.logprobs),
            offsets=self._told(self.tokens.offsets),
            reasoning=self.reasoning or None,
        )

    def failed(self, error: str, told: Usage) -> Completion:
        """The failure of this sample, with the text that was there."""
        usage = self._usage(told)
        reasoning = self.reasoning or None
        return Completion(self.index, self.text, "aborted", usage, reasoning=reasoning, error=error)

    def _add(self, piece: Piece) -> None:
        room = self.sampling.limit - (self.tokens.count or 0)
        if (piece.tokens or 0) > room:  # the server does not keep to `max_tokens`
            self.cut = Cut(len(self.text), _at_limit(self.sampling, self.sampling.limit))
            return
        known = len(self.text)
        self.text += piece.text
        self.tokens.add(piece, len(self.text))
        self.cut = find_cut(self.text, known, self.sampling, whole=self.tokenizer is not None)

    def _usage(self, told: Usage) -> Usage:
        """What was drawn up to the end that counts: the server's number goes beyond a cut."""
        counted = self.tokens.count or None
        if told.generated is None or (self.cut is not None and counted is not None):
            return told._replace(generated=counted)
        return told

    def _close(self, generated: int | None) -> Ended:
        """Bring text and tokens to their end; returns how they ended."""
        separator = self.sampling.separator
        if self.cut is not None:
            self.text = self.text[: self.cut.at]
            self.tokens.keep(sum(end <= self.cut.at for end in self.tokens.offsets))
            return self.cut.ended
        if self.reason == "length":
            return _at_limit(self.sampling, generated)
        if separator is not None and self.stopped_by == separator:
            self.text += "" if self.text.endswith(separator) else separator
            self.tokens.offsets[-1:] = [len(self.text)] if self.tokens.offsets else []
            return "separator"
        ends = [0, *self.tokens.offsets]
        if self.tokens.lump == ends[-1]:  # which of them is the end-of-text token is not told
            self.tokens.ids = self.tokens.logprobs = None
        self.tokens.keep(sum(end < ends[-1] for end in ends))
        return "eos"

    def _told(self, facts: list[Fact] | None) -> tuple[Fact, ...] | None:
        """Facts of the tokens, if these are known and make up this very text."""
        end = self.tokens.offsets[-1] if self.tokens.offsets else 0
        fits = bool(self.tokens.count) and end == len(self.text)
        return tuple(facts) if fits and facts is not None else None


def find_cut(text: str, known: int, sampling: Sampling, *, whole: bool) -> Cut | None:
    """Where `text` ends, if a separator or stop string completes after its `known` part.

    The one that completes first counts, and a stop string before a separator. With `whole`, what
    follows the separator in the same piece stays.
    """
    separator = sampling.separator
    ends: list[tuple[int, int, Cut]] = []
    for text_end in [*sampling.stop, *([separator] if separator else [])]:
        start = text.find(text_end, max(0, known - len(text_end) + 1))
        if start < 0:
            continue
        end = start + len(text_end)
        if text_end in sampling.stop:
            ends.append((end, 0, Cut(start, "eos")))
        else:
            ends.append((end, 1, Cut(len(text) if whole else end, "separator")))
    return min(ends)[2] if ends else None


def _at_limit(sampling: Sampling, generated: int | None) -> Ended:
    """A solution's length, or a step's; cut short of the limit, the context is full."""
    full = generated is not None and generated < sampling.limit
    step = sampling.max_step_tokens
    return (
        "step_length" if step is not None and step < sampling.max_tokens and not full else "length"
    )


def _extended(known: list[Fact] | None, more: tuple[Fact, ...] | None) -> list[Fact] | None:
    if known is None or more is None:
        return None
    known.extend(more)
    return known
