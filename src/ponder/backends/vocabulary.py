"""Token ids as bytes and text: exact where a character is split over tokens."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Sequence

from ponder.errors import EngineError

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Vocabulary:
    """The bytes of each token of a byte-level tokenizer; a control token has none.

    A character whose bytes do not form UTF-8 reads as U+FFFD.
    """

    def __init__(self, pieces: Sequence[bytes], control: Iterable[int] = ()) -> None:
        self._pieces = list(pieces)
        digest = hashlib.sha256()
        for index in sorted(set(control)):
            digest.update(b"%d " % index)
            self._pieces[index] = b""
        for piece in pieces:
            digest.update(b"%d:" % len(piece) + piece)
        self.fingerprint = digest.hexdigest()[:16]
        """Equal when ids mean the same bytes."""

    def __len__(self) -> int:
        return len(self._pieces)

    def piece(self, token_id: int) -> bytes:
        """The bytes that a token adds to the text."""
        return self._pieces[token_id]

    def text(self, token_ids: Iterable[int]) -> str:
        """The text of a whole sequence."""
        return b"".join(self._pieces[i] for i in token_ids).decode("utf-8", "replace")

    def unfinished(self, token_ids: Iterable[int]) -> bytes:
        """The bytes at a sequence's end that begin a character but do not complete it."""
        decoder = _Utf8Decoder("replace")
        decoder.decode(b"".join(self._pieces[i] for i in token_ids))
        return decoder.getstate()[0]

    def check(self, token_ids: Sequence[int]) -> None:
        """Raise EngineError for an id outside the vocabulary."""
        for token_id in token_ids:
            if not 0 <= token_id < len(self._pieces):
                raise EngineError(
                    f"token id {token_id} is outside the vocabulary of {len(self._pieces)}"
                )


class TextStream:
    """Text that grows token by token; a split character counts with the token that completes it."""

    def __init__(self, carried: bytes = b"") -> None:
        self._decoder = _Utf8Decoder("replace")
        self._decoder.decode(carried)
        self.text = ""
        self.offsets: list[int] = []
        """Where in `text` each token ends."""

    def add(self, piece: bytes) -> None:
        """Append one token's bytes."""
        self.text += self._decoder.decode(piece)
        self.offsets.append(len(self.text))

    def close(self) -> None:
        """End the text: what is left of a split character reads as U+FFFD."""
        self.text += self._decoder.decode(b"", final=True)
        if self.offsets:
            self.offsets[-1] = len(self.text)
