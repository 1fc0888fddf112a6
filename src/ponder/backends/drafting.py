"""One sample while it grows: where it ends is found here, token by token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ponder.backends.vocabulary import TextStream, Vocabulary
from ponder.errors import EngineError
from ponder.types import Ended, Sampling


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends a sample."""

    limit: int
    """Tokens at most, an end-of-text token included; at least 1."""
    at_limit: Ended
    """What a sample that reaches the limit ended as: `length` or `step_length`."""
    separator: str | None = None
    stop: tuple[str, ...] = ()
    """Strings that end the solution and are cut off."""
    end_ids: Collection[int] = frozenset()
    """Tokens that end the text."""

    @classmethod
    def of(cls, sampling: Sampling, end_ids: Collection[int]) -> Ending:
        """What `sampling` asks for, in a model that ends its texts with `end_ids`."""
        whole = sampling.limit == sampling.max_tokens
        return cls(
            limit=sampling.limit,
            at_limit="length" if whole else "step_length",
            separator=sampling.separator,
            stop=sampling.stop,
            end_ids=end_ids,
        )

    def after(self, prompt: int, room: int) -> Ending:
        """What ends a sample after `prompt` tokens in a sequence of `room` at most.

        A step that fills the sequence ends as `length`, whatever it ends with: none could follow.
        Raises EngineError where the prompt leaves no room.
        """
        left = room - prompt
        if left < 1:
            raise EngineError(
                f"a prompt of {prompt} tokens leaves no room for an answer: "
                f"the engine holds sequences of {room} tokens"
            )
        return self if self.limit < left else replace(self, limit=left, at_limit="length")


class Draft:
    """The tokens of one sample so far.

    The separator is looked for in this sample's own text, since a step that begins with the end
    of a separator would be empty. A token is never split: the step ends with the token in which
    the separator completes.
    """

    def __init__(self, vocabulary: Vocabulary, ending: Ending, carried: bytes = b"") -> None:
        self._vocabulary = vocabulary
        self._ending = ending
        self._stream = TextStream(carried)
        self._cut: int | None = None
        self.token_ids: list[int] = []
        """Without end-of-text tokens."""
        self.logprobs: list[float] = []
        self.generated = 0
        """Tokens drawn, an end-of-text token included."""
        self.ended: Ended | None = None

    def add(self, token_id: int, logprob: float) -> Ended | None:
        """Append a token; tells how the sample ended, if it did with this one."""
        self.generated += 1
        if token_id in self._ending.end_ids:
            self.ended = "eos"
        else:
            seen = len(self._stream.text)
            self.token_ids.append(token_id)
            self.logprobs.append(logprob)
            self._stream.add(self._vocabulary.piece(token_id))
            self.ended = self._end_after(seen)
        if self.ended in ("eos", "length"):
            self._stream.close()
        return self.ended

    @property
    def text(self) -> str:
        """The text so far, a stop string and what follows it left out."""
        return self._stream.text[: self._cut]

    @property
    def offsets(self) -> tuple[int, ...] | None:
        """Where in `text` each token ends; None if a stop string was cut out of a token."""
        offsets, cut = self._stream.offsets, self._cut
        if cut is None:
            return tuple(offsets)
        if cut == 0:
            return ()
        return tuple(offsets[: offsets.index(cut) + 1]) if cut in offsets else None

    def _end_after(self, seen: int) -> Ended | None:
        text, ending = self._stream.text, self._ending
        found = [text.find(stop, max(0, seen - len(stop) + 1)) for stop in ending.stop]
        if hits := [at for at in found if at >= 0]:
            self._cut = min(hits)
            return "eos"
        full = self.generated >= ending.limit
        if full and ending.at_limit == "length":
            return "length"
        mark = ending.separator
        if mark is not None and mark in text[max(0, seen - len(mark) + 1) :]:
            return "separator"
        return ending.at_limit if full else None
