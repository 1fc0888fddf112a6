"""An engine that a function plays: for tests and examples, with every failure at will."""

from __future__ import annotations

import asyncio
import re
import zlib
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from ponder.engines.base import Capabilities
from ponder.errors import EngineLostError
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
"""From the prefix and the sample's seed to the rest of the solution; what it raises fails one."""


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
            keeps_openings=True,
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
        asked = _Asked(prefix, sampling, self.capabilities.tokenizer)
        left = len(seeds)
        try:
            async with aclosing(self._ended(prefix, seeds)) as ended:
                async for index in ended:
                    left -= 1
                    self.running -= 1
                    reply = self._reply(prefix, seeds[index])
                    if not reply.drops:
                        yield asked.completion(reply, index)
        finally:
            self.running -= left

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _reply(self, prefix: Prefix, seed: int) -> Reply:
        """What the script says; what it raises, and what is no reply, fails the sample.

        EngineLostError is raised on: it is how a script plays an engine that ends for good.
        """
        try:
            said: object = self._script(prefix, seed)
        except EngineLostError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the user's script raises
            line = " ".join(f"{type(error).__name__}: {error}".split())
            return Reply("", error=f"the script raised {line}")
        reply = Reply(said) if isinstance(said, str) else said
        if isinstance(reply, Reply):
            return reply
        kind = type(said).__name__
        return Reply("", error=f"the script must return a text or a Reply, got {kind}")

    async def _ended(self, prefix: Prefix, seeds: Sequence[int]) -> AsyncGenerator[int, None]:
        """The samples' indices, each after its latency."""
        if self._latency is None:
            await asyncio.sleep(0)
            for index in range(len(seeds)):
                yield index
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Queue[int]()
        timers = [
            loop.call_later(self._latency(prefix, seed), ended.put_nowait, index)
            for index, seed in enumerate(seeds)
        ]
        try:
            for _ in seeds:
                yield await ended.get()
        finally:
            for timer in timers:
                timer.cancel()


class _Asked:
    """What all samples of a call share."""

    def __init__(self, prefix: Prefix, sampling: Sampling, tokenizer: str | None) -> None:
        self._sampling = sampling
        self._tokenizer = tokenizer
        steps = prefix.steps
        self._retokenised = any(step.tokenizer not in (None, tokenizer) for step in steps)
        self._prompt = sum(_count(message.content) for message in prefix.messages)
        self._prompt += sum(_count(step.text) for step in steps)

    def completion(self, reply: Reply, index: int) -> Completion:
        """The reply, cut at the separator and the limits."""
        tokens = tokens_of(reply.text)
        ends = list(accumulate(map(len, tokens)))
        left, how = _until_separator(reply.text, ends, self._sampling.separator)
        limit = self._sampling.limit
        if left > limit:
            left, how = limit, "length" if limit == self._sampling.max_tokens else "step_length"
        tokens, offsets = tokens[:left], tuple(ends[:left])
        text = reply.text[: offsets[-1] if offsets else 0]
        if reply.error is not None:
            return Completion(index, text, "aborted", Usage(), error=reply.error)
        if self._tokenizer is None:
            return Completion(index, text, how, retokenised=self._retokenised)
        return Completion(
            index,
            text,
            how,
            Usage(prompt=self._prompt, cached=0, generated=len(tokens)),
            token_ids=tuple(map(id_of, tokens)),
            tokenizer=TOKENIZER,
            logprobs=(reply.logprob,) * len(tokens),
            offsets=offsets,
            retokenised=self._retokenised,
        )


def _until_separator(text: str, ends: Sequence[int], separator: str | None) -> tuple[int, Ended]:
    """How many tokens there are up to the one in which the first separator completes."""
    end = first_end(text, separator)
    return (len(ends), "eos") if end is None else (bisect_left(ends, end) + 1, "separator")


@lru_cache(maxsize=4096)
def _count(text: str) -> int:
    return len(tokens_of(text))
