"""The `openai` engine: any server that speaks OpenAI's API, used as far as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from ponder.backends.http import HttpClient
from ponder.backends.http_access import api_url
from ponder.engines.base import Capabilities
from ponder.engines.merging import merged
from ponder.engines.openai.abilities import Abilities, digest
from ponder.engines.openai.drawing import draw
from ponder.engines.openai.probes import abilities_of
from ponder.engines.openai.reader import Reader
from ponder.engines.openai.requests import Prompt, request_body
from ponder.engines.openai.ways import Way
from ponder.engines.openings import KEPT
from ponder.errors import EngineError, PonderError, UsageError
from ponder.types import Completion, Prefix, Sampling, Usage


class OpenAIEngine:
    """A model behind vLLM, llama.cpp's server, SGLang, Ollama or a hosted endpoint.

    Open it with `OpenAIEngine.open`. Each seed is a request of its own, so that a sample depends
    on its seed alone; an engine opened with `seeded=False` asks for all samples of a prefix at
    once instead (`n`), where the server honours it: the server then reads the prompt once, and no
    sample can be drawn again.
    """

    def __init__(
        self,
        http: HttpClient,
        model: str,
        abilities: Abilities,
        *,
        chat_template: str | None = None,
        concurrency: int = 32,
        seeded: bool = True,
        openings_kept: int = KEPT,
    ) -> None:
        self.http = http
        """Its `on_busy` is called whenever the server has too much to do."""
        self.abilities = abilities
        self._model = model
        self._slots = min(concurrency, abilities.slots or concurrency)
        self._seeded = seeded
        self._places = asyncio.Semaphore(concurrency)
        self._identity = f"openai:{model}#{digest(abilities.facts, abilities.mode, chat_template)}"
        way = Way(abilities.mode, abilities.rendering, abilities.tokenizer)
        self._keeps_openings = abilities.mode == "ids" and openings_kept > 0
        self._prompts = way.prompts(http, model, chat_template, openings_kept)

    @classmethod
    async def open(
        cls,
        base_url: str,
        model: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 32,
        timeout: float = 120.0,
        cache_folder: Path | None = None,
        chat_template: str | None = None,
        seeded: bool = True,
        openings_kept: int = KEPT,
        on_busy: Callable[[], None] | None = None,
    ) -> OpenAIEngine:
        """Connect, and find out what the server can do unless `cache_folder` has it.

        `base_url` is as for OpenAI's own clients; `/v1` is added to a bare host. `concurrency` is
        the most requests at once, `timeout` the longest silence in seconds, `chat_template` a
        Jinja text or file for servers that do not render one, `openings_kept` how many
        conversations stay rendered. Raises UsageError for a value that
        cannot be used, EngineError when the server cannot be reached or answers nothing.
        """
        if concurrency < 1:
            raise UsageError(f"`concurrency` must be at least 1, got {concurrency}")
        http = HttpClient(
            api_url(base_url), api_key_env=api_key_env, timeout=timeout, on_busy=on_busy
        )
        try:
            abilities = await abilities_of(http, model, cache_folder, chat_template)
            return cls(
                http,
                model,
                abilities,
                chat_template=chat_template,
                concurrency=concurrency,
                seeded=seeded,
                openings_kept=openings_kept,
            )
        except BaseException:
            await http.aclose()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """What the probes found."""
        known = self.abilities
        return Capabilities(
            identity=self._identity,
            tokenizer=known.tokenizer,
            slots=self._slots,
            # A server batches requests as they come, and sums differ by the batch.
            reproducible="same_batch" if known.seeds and self._seeded else "never",
            continues=known.continues,
            logprobs=known.logprobs,
            parameters=known.parameters,
            why=self.why,
            keeps_openings=self._keeps_openings,
        )

    @property
    def why(self) -> str:
        """Why the server cannot be used for step-wise search; empty if it can."""
        return "" if self.abilities.continues else self.abilities.why

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """Draw one completion a seed; see `Engine.generate`. Closing it ends its requests."""
        try:
            prompt = await self._prompt(prefix)
        except PonderError as failure:
            for index in range(len(seeds)):
                yield Reader(index, sampling).failed(str(failure), Usage())
            return
        groups = [
            self._draw(prompt, sampling, seeds[group[0]], group)
            for group in self._groups(sampling, len(seeds))
        ]
        async with aclosing(merged(groups)) as completions:
            async for completion in completions:
                yield completion

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        await self.http.aclose()

    async def _prompt(self, prefix: Prefix) -> Prompt:
        if prefix.depth and not self.abilities.continues:
            raise EngineError(f"the server cannot go on with a partial answer: {self.why}")
        return await self._prompts.render(prefix)

    def _groups(self, sampling: Sampling, count: int) -> list[range]:
        """Which seeds share a request: none, unless samples need not be drawn again.

        A sample that is cut here cannot be stopped alone while others of its request go on.
        """
        ended_there = sampling.separator is None or self._server_stops
        shared = not self._seeded and self.abilities.several and ended_there
        size = self._slots if shared else 1
        return [range(first, min(first + size, count)) for first in range(0, count, size)]

    @property
    def _server_stops(self) -> bool:
        """The server is told where to stop; else its stream is closed at the separator.

        With ids it is not: a stop string is cut out of the text, and ids would no longer fit it.
        """
        return self.abilities.mode != "ids" and self.abilities.tells_separator

    def _stops(self, sampling: Sampling) -> tuple[str, ...]:
        if self.abilities.mode == "ids":
            return ()
        own = (sampling.separator,) if sampling.separator and self._server_stops else ()
        return own + sampling.stop

    async def _draw(
        self, prompt: Prompt, sampling: Sampling, seed: int, group: range
    ) -> AsyncGenerator[Completion, None]:
        """One request: each of its samples as it ends, failed ones at last."""
        tokenizer = self.abilities.tokenizer
        readers = [Reader(index, sampling, tokenizer) for index in group]
        left = {reader.index: reader for reader in readers}
        try:
            body = request_body(
                self._model,
                prompt,
                sampling,
                seed=seed,
                n=len(group),
                stop=self._stops(sampling),
                optional=self.abilities.optional,
            )
            ended = draw(self.http, prompt.path, body, readers)
            async with self._places, aclosing(ended):
                async for reader, told in ended:
                    del left[reader.index]
                    yield _finished(reader.completion(told), prompt)
        except PonderError as failure:
            for reader in left.values():
                yield _finished(reader.failed(str(failure), Usage()), prompt)


def _finished(completion: Completion, prompt: Prompt) -> Completion:
    usage = completion.usage
    if prompt.tokens is not None:
        usage = usage._replace(prompt=prompt.tokens)
    return replace(completion, usage=usage, retokenised=prompt.retokenised)
