"""An engine that a function plays: for tests and examples, with every failure at will."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import Final, NamedTuple

from ponder.engines.base import Capabilities
from ponder.search.steps import first_end
from ponder.types import Completion, Ended, Prefix, Sampling, Usage

TOKENIZER: Final = "scripted-words"
"""Fingerprint: a token is a word with the white space after it."""


class Reply(NamedTuple):
    """What the function may return instead of the bare text."""

    text: str
    """The rest of the solution; the engine cuts it at the separator and the limits."""
    error: str | None = None
    """The sample fails with this, after its latency."""
    logprob: float = -0.5
    """Of each token."""
    drops: bool = False
    """The engine's iterator ends without this sample."""


Script = Callable[[Prefix, int], str | Reply]
"""From the prefix and the sample's seed to the rest of the solution."""


def tokens_of(text: str) -> list[str]:
    """The scripted tokenizer's tokens: they join to `text`."""
    return re.findall(r"\S+\s*|\s+", text)


class ScriptedEngine:
    """Plays `script` with the timing given by `latency`; public, like `ScriptedVerifier`."""

    def __init__(
        self,
        script: Script,
        *,
        latency: Callable[[Prefix, int], float] | None = None,
        slots: int = 64,
        continues: bool = True,
        counts_tokens: bool = True,
        identity: str = "scripted",
    ) -> None:
        self.capabilities = Capabilities(
            identity=identity,
            tokenizer=TOKENIZER if counts_tokens else None,
            slots=slots,
            reproducible="always",
            continues=continues,
            logprobs=counts_tokens,
        )
        self.calls = 0
        """Samples asked for."""
        self.running = 0
        """Samples in flight."""
        self.most_running = 0
        """The most samples that were in flight at once."""
        self.closed = False
        self._script = script
        self._latency = latency

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """Play one sample a seed, each after its latency; see `Engine.generate`."""
        self.calls += len(seeds)
        self.running += len(seeds)
        self.most_running = max(self.most_running, self.running)
        ended: asyncio.Queue[int] = asyncio.Queue()
        timers = [
            self._when(prefix, seed)(ended.put_nowait, index) for index, seed in enumerate(seeds)
        ]
        left = len(seeds)
        try:
            while left:
                index = await ended.get()
                left -= 1
                self.running -= 1
                completion = self._play(prefix, sampling, seeds[index], index)
                if completion is not None:
                    yield completion
        finally:
            self.running -= left
            for timer in timers:
                timer.cancel()

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _when(self, prefix: Prefix, seed: int) -> Callable[..., asyncio.Handle]:
        """The event loop's call after the sample's latency."""
        loop = asyncio.get_running_loop()
        if self._latency is None:
            return loop.call_soon
        return partial(loop.call_later, self._latency(prefix, seed))

    def _play(self, prefix: Prefix, sampling: Sampling, seed: int, index: int) -> Completion | None:
        said = self._script(prefix, seed)
        reply = Reply(said) if isinstance(said, str) else said
        return None if reply.drops else self._completion(prefix, sampling, reply, index)

    def _completion(
        self, prefix: Prefix, sampling: Sampling, reply: Reply, index: int
    ) -> Completion:
        text, how = _until_separator(reply.text, sampling.separator)
        tokens = tokens_of(text)
        if len(tokens) > sampling.limit:
            tokens = tokens[: sampling.limit]
            whole = sampling.limit == sampling.max_tokens
            text, how = "".join(tokens), "length" if whole else "step_length"
        if reply.error is not None:
            return Completion(index, text, "aborted", Usage(), error=reply.error)
        own = self.capabilities.tokenizer
        retokenised = any(step.tokenizer not in (None, own) for step in prefix.steps)
        if own is None:
            return Completion(index, text, how, retokenised=retokenised)
        return Completion(
            index,
            text,
            how,
            Usage(prompt=_prompt_tokens(prefix), cached=0, generated=len(tokens)),
            token_ids=tuple(zlib.crc32(token.encode()) for token in tokens),
            tokenizer=TOKENIZER,
            logprobs=(reply.logprob,) * len(tokens),
            offsets=tuple(accumulate(map(len, tokens))),
            retokenised=retokenised,
        )


def _until_separator(text: str, separator: str | None) -> tuple[str, Ended]:
    """The text up to the token in which the first separator completes."""
    end = first_end(text, separator)
    if end is None:
        return text, "eos"
    ends = accumulate(map(len, tokens_of(text)))
    return text[: next(at for at in ends if at >= end)], "separator"


def _prompt_tokens(prefix: Prefix) -> int:
    asked = sum(_count(message.content) for message in prefix.messages)
    return asked + sum(_count(step.text) for step in prefix.steps)


@lru_cache(maxsize=4096)
def _count(text: str) -> int:
    return len(tokens_of(text))
