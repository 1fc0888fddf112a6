"""Hidden states of solutions, step by step: what a trained head reads, in training and in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, Self

from ponder.backends.prefix_tree import Outputs, Reduced, TreeModel
from ponder.backends.problem_tree import bytes_a_row
from ponder.backends.tree_passes import ReadCounts
from ponder.backends.tree_reader import TreeReader
from ponder.types import Message, Prefix, Problem, ScoreFailure
from ponder.verifiers.head_config import Prompt
from ponder.verifiers.reading import step_texts

STEP_END = "\n\n"
"""Ends each step as it is read, so that a solution's last step ends as the others do."""
_KEPT_TEXTS = 1 << 16
"""Step texts whose tokens are kept."""


class SolutionStates(NamedTuple):
    """One prefix as the model read it."""

    outputs: Outputs
    """[tokens, width] The states of the prompt and the steps."""
    start: int
    """Before which token the steps begin; at least 1."""
    ends: tuple[int, ...]
    """Before which token each step ends."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """How many tokens the prompt has, then each step."""
        return tuple(end - start for start, end in pairwise((0, self.start, *self.ends)))


class Tokenizer(Protocol):
    """Text to token ids, as the base model's own files say.

    Half a surrogate pair is read as a question mark.
    """

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The conversation up to where the answer begins."""
        ...

    def text(self, text: str) -> list[int]:
        """A piece of an answer, nothing added."""
        ...


class StateReader:
    """Reads prefixes with a base model, which `ponder.verifiers.head_base` opens.

    The prompt is the model's chat template over the bare question or over the prefix's messages.
    Then each step's text, without its separator and with STEP_END, is tokenised by
    itself: a longer prefix begins with the shorter one's tokens. A step of white space has none.
    """

    def __init__(
        self, reader: TreeReader, width: int, tokenizer: Tokenizer, prompt: Prompt
    ) -> None:
        self._reader = reader
        self.width = width
        """How many numbers a token's states have: those of all layers read."""
        self._prompt = prompt
        self._render = lru_cache(maxsize=1024)(tokenizer.prompt)
        self._encode = lru_cache(maxsize=_KEPT_TEXTS)(tokenizer.text)

    @classmethod
    def over(
        cls,
        trees: TreeModel[Any],
        width: int,
        tokenizer: Tokenizer,
        prompt: Prompt,
        *,
        cache_gb: float,
        tokens_a_pass: int,
    ) -> Self:
        """Read with a loaded model whose states have `width` numbers.

        `cache_gb` (10^9 bytes) is for the keys, values and states of problems in flight.
        """
        bytes_a_token = trees.bytes_a_token + bytes_a_row(width)
        cache_tokens = max(int(cache_gb * 1e9) // bytes_a_token, 1)
        reader = TreeReader(trees, tokens_a_pass=tokens_a_pass, cache_tokens=cache_tokens)
        return cls(reader, width, tokenizer, prompt)

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        return self._reader.counts

    async def reduced(
        self,
        problem: Problem,
        prefixes: Sequence[Prefix],
        reduce: Callable[[SolutionStates], Reduced],
    ) -> list[Reduced | ScoreFailure]:
        """What `reduce` makes of each prefix's states, in order; too long a one is a failure.

        It is called in another thread, as `ponder.backends.tree_reader.TreeReader.reduced` says:
        the states of one prefix are held at a time. Raises VerifierError where the model fails,
        and what `reduce` raises.
        """
        read = [self._tokens(prefix) for prefix in prefixes]
        asked = [(ids, partial(_reduced, reduce, start, ends)) for ids, start, ends in read]
        return await self._reader.reduced(problem, asked)

    async def aclose(self) -> None:
        """End the reader's thread; a second call does nothing."""
        await self._reader.aclose()

    def _tokens(self, prefix: Prefix) -> tuple[list[int], int, tuple[int, ...]]:
        """All token ids, where the steps begin, and where each ends."""
        if self._prompt == "question":
            messages: tuple[Message, ...] = (Message("user", prefix.problem.question),)
        else:
            messages = prefix.messages
        token_ids = list(self._render(messages))
        start = len(token_ids)
        ends: list[int] = []
        for text in step_texts(prefix):
            token_ids += self._encode(text + STEP_END) if text else ()
            ends.append(len(token_ids))
        return token_ids, start, tuple(ends)


def _reduced(
    reduce: Callable[[SolutionStates], Reduced],
    start: int,
    ends: tuple[int, ...],
    outputs: Outputs,
) -> Reduced:
    return reduce(SolutionStates(outputs, start, ends))


def readable(text: str) -> str:
    """The text with each half of a surrogate pair as a question mark."""
    return text.encode("utf-8", "replace").decode()
