"""What servers send, read leniently: completions and chat, vLLM's, llama.cpp's and others' layouts.

A field that a server leaves out, or fills with null, is None here and never 0.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field, ValidationError

from ponder.backends.http_errors import RequestError
from ponder.backends.http_usage import UsageTold, Wire
from ponder.types import Usage


class _Timings(Wire):
    """llama.cpp's own counts, in every chunk when `timings_per_token` is asked for."""

    cache_n: int
    prompt_n: int
    predicted_n: int


class _Entry(Wire):
    id: int | None = None
    token: str = ""
    logprob: float | None = None


class _Logprobs(Wire):
    content: list[_Entry] | None = None
    """A token each: chat, and llama.cpp's completions."""
    tokens: list[str] | None = None
    """Completions of all others, beside `token_logprobs`."""
    token_logprobs: list[float | None] | None = None

    def entries(self) -> list[_Entry]:
        """One a token, whichever layout it came in."""
        if self.content is not None:
            return self.content
        values = self.token_logprobs or []
        pairs = zip(self.tokens or [], values, strict=False)
        return [_Entry(token=token, logprob=value) for token, value in pairs]


class _Message(Wire):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Choice(Wire):
    """A piece of one sample, or the whole of it."""

    index: int = 0
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None

    @property
    def content(self) -> str:
        """The text that this piece adds."""
        told = self.text if self.text is not None else self._message.content
        return told or ""

    @property
    def reasoning(self) -> str:
        """What the server keeps apart as reasoning, as this piece adds to it."""
        return self._message.reasoning_content or self._message.reasoning or ""

    @property
    def stopped_by(self) -> str | int | None:
        """The stop string that ended the sample, as vLLM and SGLang tell; None: not told."""
        return self.stop_reason if self.stop_reason is not None else self.matched_stop

    @property
    def _message(self) -> _Message:
        return self.delta or self.message or _Message()


class Chunk(Wire):
    """One event of a stream, or a whole answer: both have the same outer layout."""

    choices: list[Choice] = Field(default_factory=list)
    usage: UsageTold | None = None
    timings: _Timings | None = None

    @classmethod
    def read(cls, event: dict[str, object]) -> Chunk:
        """Raises RequestError when a field is not of its kind."""
        try:
            return cls.model_validate(event)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RequestError(f"the answer cannot be read: {place}: {first['msg']}") from invalid

    def spent(self) -> Usage:
        """What is told so far; all None where nothing is."""
        if self.usage is not None:
            return self.usage.counted
        if self.timings is not None:
            known = self.timings
            return Usage(known.cache_n + known.prompt_n, known.cache_n, known.predicted_n)
        return Usage()


class Piece(NamedTuple):
    """The least stretch of text whose tokens are known: most often one token."""

    text: str
    ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None

    @property
    def tokens(self) -> int | None:
        """How many tokens it has; None is not told."""
        told = self.logprobs if self.ids is None else self.ids
        return None if told is None else len(told)


def pieces(choice: Choice) -> list[Piece]:
    """Split what a chunk adds into single tokens where its log-probabilities say how.

    Otherwise it stays one piece: its ids and text belong together, but not one by one.
    """
    entries = choice.logprobs.entries() if choice.logprobs else []
    ids = _ids(choice, entries)
    values = [entry.logprob for entry in entries if entry.logprob is not None]
    size = len(entries) if ids is None else len(ids)
    logprobs = tuple(values) if values and len(values) == size else None
    texts = _texts(choice, entries)
    if 1 < len(texts) == size and "".join(texts) == choice.content:
        return [
            Piece(text, ids and (ids[at],), logprobs and (logprobs[at],))
            for at, text in enumerate(texts)
        ]
    return [Piece(choice.content, ids, logprobs)] if choice.content or size else []


def _texts(choice: Choice, entries: list[_Entry]) -> list[str]:
    """Of each token; a last one that ends the text is told by its name and adds nothing to it."""
    texts = [entry.token for entry in entries]
    if choice.finish_reason is not None and "".join(texts[:-1]) == choice.content:
        return [*texts[:-1], ""][: len(texts)]
    return texts


def _ids(choice: Choice, entries: list[_Entry]) -> tuple[int, ...] | None:
    if choice.token_ids is not None:
        return tuple(choice.token_ids)
    told = tuple(entry.id for entry in entries if entry.id is not None)
    return told if told and len(told) == len(entries) else None
