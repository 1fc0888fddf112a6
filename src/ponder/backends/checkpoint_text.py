"""Text and token ids of a transformers checkpoint: its tokenizer and its chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ponder.backends.vocabulary import Vocabulary
from ponder.errors import EngineError, UsageError
from ponder.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PINNED: Final[dict[str, Any]] = {"date_string": "26 Jul 2024"}
"""Llama 3's templates print today's date otherwise, and no run could be repeated tomorrow."""
_SPACE: Final = "\u2581"
"""How SentencePiece writes a space."""


class CheckpointText:
    """Renders conversations, and turns text into ids and back.

    `size` is the number of ids that the model can draw: its vocabulary is often padded beyond the
    tokenizer's, with ids that read as no text. Raises EngineError for a tokenizer whose tokens
    cannot be told apart in bytes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int = 0) -> None:
        self._tokenizer = tokenizer
        pieces, control = token_pieces(tokenizer)
        self.vocabulary = Vocabulary(pieces + [b""] * (size - len(pieces)), control)

    @classmethod
    def open(cls, model: str, revision: str | None = None, size: int = 0) -> CheckpointText:
        """Of a folder, or of a model on the hub; its repository's code is never run.

        Raises EngineError where there is no tokenizer, or not one that can be read.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                model, revision=revision, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise EngineError(f"cannot open the tokenizer of {model}: {line}") from None
        return cls(tokenizer, size)

    @property
    def end_id(self) -> int | None:
        """The tokenizer's own end-of-text token."""
        found: int | None = self._tokenizer.eos_token_id
        return found

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation by the model's template, up to where its answer begins.

        Raises UsageError for a model without a template, or one that refuses the conversation.
        """
        from jinja2 import TemplateError

        if self._tokenizer.chat_template is None:
            raise UsageError(
                f"{self._tokenizer.name_or_path} has no chat template: use its instruct version"
            )
        turns = [message._asdict() for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **PINNED
            )
        except TemplateError as failure:
            raise UsageError(f"the chat template refuses the conversation: {failure}") from None
        return str(text)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`, nothing added."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise EngineError(f"the text cannot be read: {error}") from None
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))


def token_pieces(tokenizer: PreTrainedTokenizerBase) -> tuple[list[bytes], list[int]]:
    """The bytes of each token, and the control tokens, which add nothing to a text.

    Raises EngineError for a tokenizer that is neither byte-level nor SentencePiece-like.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EngineError(
            f"{type(tokenizer).__name__} does not tell its tokens' bytes: unsupported"
        )
    steps = _kinds(json.loads(backend.to_str())["decoder"])
    if "ByteLevel" not in steps and not steps & {"Metaspace", "ByteFallback", "Replace"}:
        raise EngineError(f"tokens decoded by {sorted(steps)} cannot be followed one by one")
    added = tokenizer.added_tokens_decoder
    vocabulary = tokenizer.get_vocab()
    pieces = [b""] * (max(vocabulary.values()) + 1)
    letters = _byte_letters() if "ByteLevel" in steps else None
    for name, index in vocabulary.items():
        pieces[index] = name.encode() if index in added else _bytes(name, letters)
    return pieces, [index for index, token in added.items() if token.special]


def _kinds(decoder: Mapping[str, Any] | None) -> set[str]:
    """The kinds of a decoder's steps."""
    if decoder is None:
        return set()
    return {part["type"] for part in decoder.get("decoders", [decoder])}


def _bytes(name: str, letters: Mapping[str, int] | None) -> bytes:
    if letters is not None:
        return bytes(letters[letter] for letter in name)
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes([int(name[3:5], 16)])
    return name.replace(_SPACE, " ").encode()


def _byte_letters() -> dict[str, int]:
    """The letter that byte-level tokenizers write for each byte: GPT-2's table.

    A byte that prints as a letter of its own stands for itself; the others follow from 256 on.
    """
    own = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1)]
    own += range(ord("\u00ae"), ord("\u00ff") + 1)
    others = [byte for byte in range(256) if byte not in own]
    letters = {chr(byte): byte for byte in own}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}
