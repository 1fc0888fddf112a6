"""The `vllm` engine: vLLM's asynchronous engine, token ids in and out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any, Final

from ponder.backends.drafting import Draft, Ending
from ponder.backends.models import silent
from ponder.engines.base import Capabilities
from ponder.engines.merging import merged
from ponder.engines.openings import KEPT, Openings
from ponder.engines.prefix_ids import Rendered, prefix_ids
from ponder.engines.vllm.copies import Copies
from ponder.engines.vllm.loading import check_installed, end, load
from ponder.engines.vllm.model import LoadedModel, describe
from ponder.engines.vllm.options import LARGEST_BLOCK, VllmOptions
from ponder.engines.vllm.sample import Following, Prompt, parameters, told
from ponder.engines.vllm.stops import SeparatorTokens
from ponder.errors import EngineError, EngineLostError, PonderError, UsageError
from ponder.types import Completion, Message, Prefix, Sampling, Usage

_CLOSED: Final = "the engine is closed"


class VllmEngine:
    """Continuous batching with prefix caching in vLLM. Open it with `open`.

    vLLM runs in processes of its own and is spoken to from the event loop that the engine was
    opened in. Samples of one prefix share its cache blocks from the moment that the first of them
    is scheduled, so their prompt is computed once, but for the tokens after its last whole block.
    """

    def __init__(self, llm: Any, model: LoadedModel, openings_kept: int = KEPT) -> None:
        self.overdrawn = 0
        """Tokens that vLLM drew beyond the ends of samples: it learns of an end that lies over
        two tokens after the fact. They are in no `Usage`."""
        self._llm = llm
        self._model = model
        self._numbers = count()
        self._following: set[asyncio.Task[str | None]] = set()
        self._separators = SeparatorTokens(model.text.vocabulary)
        self._openings = Openings(self._rendered, openings_kept)
        self._copies = Copies(model.copies, model.capabilities.slots // model.copies)

    @classmethod
    async def open(
        cls,
        model: str | None,
        options: VllmOptions = VllmOptions(),
        announce: Callable[[str], None] = silent,
    ) -> VllmEngine:
        """Load a folder of a checkpoint, or a model on the hub by its name.

        Takes a minute or more, which `announce` is told. Raises UsageError, MissingExtraError or
        EngineError.
        """
        if model is None:
            raise UsageError("the engine `vllm` needs a `model`: a folder, or a name on the hub")
        check_installed()
        announce(f"loading {model} into vLLM, which takes a minute or more")
        llm = await asyncio.to_thread(load, model, options)
        try:
            known = await asyncio.to_thread(describe, llm, model, options)
            if known.block > LARGEST_BLOCK:
                announce(
                    f"vLLM's kernels for {model} keep prefixes in blocks of {known.block} tokens: "
                    "what comes after the last whole block is read for each sample"
                )
            return cls(llm, known, options.openings_kept)
        except BaseException:
            await asyncio.to_thread(end, llm)
            raise

    @property
    def capabilities(self) -> Capabilities:
        """What this engine is and can do."""
        return self._model.capabilities

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """One completion a seed, each yielded as it ends; see `Engine.generate`."""
        try:
            prompt = await self._prompt(prefix, sampling)
            settings = [parameters(sampling, prompt, seed) for seed in seeds]
        except PonderError as error:
            for index in range(len(seeds)):
                yield Completion(index, "", "aborted", Usage(generated=0), error=str(error))
            return
        samples = [
            self._sample(prompt, index, setting, prefix.problem.id)
            for index, setting in enumerate(settings)
        ]
        async with aclosing(merged(samples)) as completions:
            async for completion in completions:
                yield completion

    async def render(self, messages: Sequence[Message]) -> Rendered:
        """The conversation by the model's template, as text and ids."""
        return await self._openings.of(tuple(messages))

    async def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`, nothing added."""
        return self._model.text.encode(text)

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of `token_ids`, control tokens left out."""
        return self._model.text.vocabulary.text(token_ids)

    async def running(self) -> int:
        """Requests that have not ended; at least 1 while vLLM's own scheduler has any."""
        if self._llm is None:
            return 0
        busy = await self._llm.engine_core.call_utility_all_async("has_work")  # of each copy
        held: int = self._llm.output_processor.get_num_unfinished_requests()
        return max(held, sum(map(int, busy)))

    async def aclose(self) -> None:
        """End vLLM's processes; what still runs fails. A second call does nothing."""
        llm, self._llm = self._llm, None
        if llm is None:
            return
        for sample in self._following:  # vLLM would leave them waiting
            sample.cancel()
        if self._following:
            await asyncio.wait(self._following)
        if llm.output_handler is not None:  # it would take the end for a failure, and say so
            llm.output_handler.cancel()
        await asyncio.to_thread(end, llm)

    async def _rendered(self, messages: tuple[Message, ...]) -> Rendered:
        text = self._model.text.render(messages)
        return Rendered(text, self._model.text.encode(text))

    async def _prompt(self, prefix: Prefix, sampling: Sampling) -> Prompt:
        """Raises PonderError for what vLLM must not be sent."""
        if self._llm is None:
            raise EngineError(_CLOSED)
        vocabulary, fingerprint = self._model.text.vocabulary, self.capabilities.tokenizer
        opening = (await self._openings.of(prefix.messages)).ids
        ids, start, retokenised = await prefix_ids(opening, prefix, fingerprint, self.encode)
        vocabulary.check(ids)
        ending = Ending.of(sampling, self._model.end_ids).after(len(ids), self._model.room)
        stop_ids = self._separators.of(sampling.separator)
        return Prompt(ids, ending, stop_ids, vocabulary.unfinished(ids[start:]), retokenised)

    async def _sample(
        self, prompt: Prompt, index: int, sampling: Any, problem_id: str
    ) -> AsyncGenerator[Completion, None]:
        from vllm.exceptions import VLLMError
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        draft = Draft(self._model.text.vocabulary, prompt.ending, prompt.carried)
        following = Following(index, prompt, draft)
        llm = self._llm
        if llm is None:  # closed while the prompt was made
            yield following.completion(self.capabilities.tokenizer, _CLOSED)
            return
        with self._copies.one(problem_id) as copy:
            outputs = llm.generate(
                tokens_input(list(prompt.ids)),
                sampling,
                f"ponder-{next(self._numbers)}",
                data_parallel_rank=copy if self._model.copies > 1 else None,
            )
            try:
                error = await self._unless_closed(following.to_its_end(outputs))
            except EngineDeadError as death:
                raise EngineLostError(f"vLLM has ended: {death}") from death
            except VLLMError as failure:
                error = f"vLLM failed: {told(failure)}"
            finally:
                self.overdrawn += following.overdrawn
        yield following.completion(self.capabilities.tokenizer, error)

    async def _unless_closed(self, followed: Coroutine[Any, Any, str | None]) -> str | None:
        """What following a sample says; closing the engine ends it as a failure."""
        task = asyncio.create_task(followed)
        self._following.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._following.discard(task)
            if task.cancel():  # this sample alone was cancelled: vLLM hears of it before it returns
                await asyncio.wait([task])
        return _CLOSED if task.cancelled() else task.result()
