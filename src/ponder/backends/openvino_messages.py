"""What the OpenVINO child process and its parent tell each other, and how it is framed.

A frame is four bytes of length (big-endian) and a JSON list of messages; a message is a list of
its kind and its content. Each side sends one frame for all that it has to say at a time.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from ponder.types import Ended

LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class _Record:
    """A message content that is a plain dataclass."""

    def content(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """From JSON, where a tuple came as a list."""
        values = {field.name: content[field.name] for field in fields(cls)}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass(frozen=True, slots=True)
class Settings(_Record):
    """How the child opens its model."""

    model: str
    """Path of a GGUF file or of a folder with an exported OpenVINO model."""
    end_ids: tuple[int, ...]
    """Tokens that end the text, besides the tokenizer's own."""
    context: int | None
    """Tokens that the model was made for; None: only the cache's size bounds a sequence."""
    slots: int
    cache_gb: int
    cache_tokens: int | None
    """Overrides `cache_gb`."""
    threads: int | None
    reproducible: bool
    step_tokens: int = 256
    """Tokens computed in one step at most, prompts and samples together."""


@dataclass(frozen=True, slots=True)
class Opened(_Record):
    """What the child says once its model is loaded."""

    tokenizer: str
    """Fingerprint."""
    vocabulary: int
    """Number of token ids."""
    end_ids: tuple[int, ...]
    room: int
    """Tokens that one sequence can have: the context's, or the cache's if that is smaller."""


@dataclass(frozen=True, slots=True)
class Draw(_Record):
    """Draw one sample a seed from one prompt."""

    call: int
    """Names the request in answers and in `cancel`."""
    ids: tuple[int, ...]
    """The prompt and the steps so far."""
    start: int
    """Where in `ids` the steps begin."""
    seeds: tuple[int, ...]
    temperature: float
    top_p: float
    top_k: int
    limit: int
    """Tokens at most of a sample."""
    at_limit: Ended
    separator: str | None
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn(_Record):
    """One finished sample."""

    call: int
    index: int
    """Which of the seeds."""
    text: str = ""
    ended: Ended = "aborted"
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    offsets: tuple[int, ...] | None = None
    prompt: int | None = None
    cached: int | None = None
    generated: int | None = None
    error: str | None = None


Message = tuple[str, Any]
"""A kind and its content."""


def pack(messages: Sequence[Message]) -> bytes:
    """One frame."""
    body = json.dumps(messages, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> list[Message]:
    """The messages of one frame, without its length."""
    return [(kind, content) for kind, content in json.loads(body)]
