"""A model inside this program: OpenVINO GenAI on the CPU, in a child process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

from ponder.backends.local_model import LocalModel, find_model
from ponder.backends.models import silent
from ponder.backends.openvino_messages import Draw, Drawn, Settings
from ponder.backends.openvino_process import OpenVinoProcess
from ponder.engines.base import Capabilities
from ponder.engines.openings import KEPT, Openings
from ponder.engines.prefix_ids import PrefixIds, Rendered, prefix_ids
from ponder.errors import EngineError, MissingExtraError, UsageError
from ponder.types import Completion, Message, Prefix, Sampling, Usage


class EmbeddedEngine:
    """Continuous batching on the CPU, with prefix caching. Open it with `open`.

    The conversation is rendered by the model's own chat template and by nothing else: a template
    may put in a system turn of its own when the conversation has none (SmolLM2's does), which
    `render` shows. The steps follow as part of the answer that is being written. It belongs to
    the event loop that it was opened in.

    `Usage.cached` is computed by the cache's own rule, see `ponder.backends.prefix_ledger`.
    """

    def __init__(
        self, process: OpenVinoProcess, capabilities: Capabilities, openings_kept: int = KEPT
    ) -> None:
        self._process = process
        self._capabilities = capabilities
        self._openings = Openings(self._render, openings_kept)

    @classmethod
    async def open(
        cls,
        model: str | Path | None = None,
        *,
        slots: int = 64,
        cache_gb: int = 1,
        cache_tokens: int | None = None,
        threads: int | None = None,
        reproducible: bool = False,
        openings_kept: int = KEPT,
        announce: Callable[[str], None] = silent,
    ) -> EmbeddedEngine:
        """Load a GGUF file or a folder with an exported OpenVINO model; None: the default model.

        `slots` samples run at once and share a key-value cache of `cache_gb` gigabytes, or of
        `cache_tokens` if given. `reproducible` computes in full precision, where a sample is
        less affected by what runs beside it, at about 1.7 times the time. `openings_kept` is how
        many conversations stay rendered. `announce` is told, in one line each, of work that takes
        long: fetching and converting. Raises UsageError, MissingExtraError or EngineError.
        """
        _check(slots, cache_gb, cache_tokens, threads)
        if find_spec("openvino_genai") is None:
            raise MissingExtraError("openvino-genai", "embedded")
        found = await asyncio.to_thread(find_model, model, announce)
        settings = Settings(
            model=str(found.path),
            end_ids=found.end_ids,
            context=found.context,
            slots=slots,
            cache_gb=cache_gb,
            cache_tokens=cache_tokens,
            threads=threads,
            reproducible=reproducible,
        )
        process = OpenVinoProcess(settings)
        try:
            opened = await process.open()
        except BaseException:
            await process.aclose()
            raise
        known = _capabilities(found, opened.tokenizer, settings, openings_kept)
        return cls(process, known, openings_kept)

    @property
    def capabilities(self) -> Capabilities:
        """What this engine is and can do."""
        return self._capabilities

    @property
    def pid(self) -> int | None:
        """Of the child process that runs, or ran last."""
        return self._process.pid

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """One completion a seed, each yielded as it ends; see `Engine.generate`."""
        try:
            prompt = await self._prompt(prefix)
        except EngineError as error:
            for index in range(len(seeds)):
                yield Completion(index, "", "aborted", error=str(error))
            return
        async with aclosing(self._process.draw(self._draw(prompt, sampling, seeds))) as samples:
            async for drawn in samples:
                yield self._completion(drawn, prompt.retokenised)

    async def render(self, messages: Sequence[Message]) -> Rendered:
        """The conversation by the model's template, as text and ids."""
        return await self._openings.of(tuple(messages))

    async def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`, nothing added."""
        return tuple(await self._process.ask("encode", text))

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of `token_ids`, control tokens left out."""
        return str(await self._process.ask("decode", list(token_ids)))

    async def running(self) -> int:
        """Requests that have not ended, by the engine's own count."""
        return int(await self._process.ask("running"))

    async def aclose(self) -> None:
        """End the child process; a second call does nothing."""
        await self._process.aclose()

    async def _render(self, turns: tuple[Message, ...]) -> Rendered:
        text, ids = await self._process.ask("render", turns)
        return Rendered(text, tuple(ids))

    async def _prompt(self, prefix: Prefix) -> PrefixIds:
        opening = (await self.render(prefix.messages)).ids
        return await prefix_ids(opening, prefix, self._capabilities.tokenizer, self.encode)

    def _draw(self, prompt: PrefixIds, sampling: Sampling, seeds: Sequence[int]) -> Draw:
        whole = sampling.limit == sampling.max_tokens
        return Draw(
            call=self._process.number(),
            ids=prompt.ids,
            start=prompt.start,
            seeds=tuple(seeds),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            limit=sampling.limit,
            at_limit="length" if whole else "step_length",
            separator=sampling.separator,
            stop=sampling.stop,
        )

    def _completion(self, drawn: Drawn, retokenised: bool) -> Completion:
        return Completion(
            index=drawn.index,
            text=drawn.text,
            ended=drawn.ended,
            usage=Usage(drawn.prompt, drawn.cached, drawn.generated),
            token_ids=drawn.token_ids,
            tokenizer=None if drawn.token_ids is None else self._capabilities.tokenizer,
            logprobs=drawn.logprobs,
            offsets=drawn.offsets,
            error=drawn.error,
            retokenised=retokenised,
        )


def _capabilities(
    model: LocalModel, tokenizer: str, settings: Settings, openings_kept: int
) -> Capabilities:
    precision = "f32" if settings.reproducible else "fast"
    return Capabilities(
        identity=f"{model.name}@{model.sha256[:16]}/{model.precision}/{precision}",
        tokenizer=tokenizer,
        slots=settings.slots,
        reproducible="same_batch",
        continues=True,
        logprobs=True,
        parameters=model.parameters,
        keeps_openings=openings_kept > 0,
    )


def _check(slots: int, cache_gb: int, cache_tokens: int | None, threads: int | None) -> None:
    values = {
        "slots": slots,
        "cache_gb": cache_gb,
        "cache_tokens": cache_tokens,
        "threads": threads,
    }
    for name, value in values.items():
        if value is not None and (value < 1 or value != int(value)):
            raise UsageError(f"`{name}` must be a whole number of at least 1, got {value}")
