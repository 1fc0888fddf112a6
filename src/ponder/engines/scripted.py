"""An engine that a function plays: for tests and examples, with every failure at will."""

from __future__ import annotations

import asyncio
import re
import zlib
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import lru_cache
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


_TOKEN = re.compile(r"\S+\s*|\s+")


def tokens_of(text: str) -> list[str]:
    """The scripted tokenizer's tokens: they join to `text`."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=4096)
def id_of(token: str) -> int:
    """The scripted tokenizer's id of a token."""
    return zlib.crc32(token.encode())


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
        timers = self._end_later(prefix, seeds, ended)
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

    def _end_later(
        self, prefix: Prefix, seeds: Sequence[int], ended: asyncio.Queue[int]
    ) -> Sequence[asyncio.Handle]:
        """The event loop's calls that put each sample's index into `ended` after its latency."""
        loop = asyncio.get_running_loop()
        if self._latency is None:
            return [loop.call_soon(_put_all, ended, range(len(seeds)))]
        return [
            loop.call_later(self._latency(prefix, seed), ended.put_nowait, index)
            for index, seed in enumerate(seeds)
        ]

    def _play(self, prefix: Prefix, sampling: Sampling, seed: int, index: int) -> Completion | None:
        said = self._script(prefix, seed)
        reply = Reply(said) if isinstance(said, str) else said
        return None if reply.drops else self._completion(prefix, sampling, reply, index)

    def _completion(
        self, prefix: Prefix, sampling: Sampling, reply: Reply, index: int
    ) -> Completion:
        tokens = tokens_of(reply.text)
        ends = list(accumulate(map(len, tokens)))
        left, how = _until_separator(reply.text, ends, sampling.separator)
        limit = sampling.limit
        if left > limit:
            left, how = limit, "length" if limit == sampling.max_tokens else "step_length"
        tokens, offsets = tokens[:left], tuple(ends[:left])
        text = reply.text[: offsets[-1] if offsets else 0]
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
            token_ids=tuple(map(id_of, tokens)),
            tokenizer=TOKENIZER,
            logprobs=(reply.logprob,) * len(tokens),
            offsets=offsets,
            retokenised=retokenised,
        )


def _put_all(queue: asyncio.Queue[int], indices: Iterable[int]) -> None:
    for index in indices:
        queue.put_nowait(index)


def _until_separator(text: str, ends: Sequence[int], separator: str | None) -> tuple[int, Ended]:
    """How many tokens there are up to the one in which the first separator completes."""
    end = first_end(text, separator)
    return (len(ends), "eos") if end is None else (bisect_left(ends, end) + 1, "separator")


def _prompt_tokens(prefix: Prefix) -> int:
    asked = sum(_count(message.content) for message in prefix.messages)
    return asked + sum(_count(step.text) for step in prefix.steps)


@lru_cache(maxsize=4096)
def _count(text: str) -> int:
    return len(tokens_of(text))
