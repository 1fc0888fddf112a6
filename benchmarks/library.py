"""The embedded engine's library without ponder: one batch of the same prompts and lengths."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.bare import draws
from benchmarks.workload import Work
from ponder.backends.local_model import find_model
from ponder.backends.models import silent
from ponder.backends.openvino_cpu import cpu_properties
from ponder.engines.base import Engine
from ponder.errors import EngineError
from ponder.runner import unwrapped
from ponder.types import Prefix, Sampling


@dataclass(frozen=True, slots=True)
class Batch:
    """The same samples by both, all started at once, to the end of the last."""

    tokens: int
    adapter_seconds: float
    """Through the engine as ponder opens it."""
    library_seconds: float
    """By the library's own `generate`."""


async def batch(engine: Engine, todo: Work, sequences: int) -> Batch:
    """So many samples at once; both have the prompts in their caches."""
    drawn = list(islice(draws(todo, 0), sequences))
    sampling = todo.recipe.study.sampling.sampling().whole()
    lengths = [0] * sequences

    async def draw(index: int, prefix: Prefix, seed: int) -> None:
        async for completion in engine.generate(prefix, sampling, [seed]):
            lengths[index] = completion.usage.generated or 0

    start = time.perf_counter()
    async with unwrapped(), asyncio.TaskGroup() as group:
        for index, (prefix, seed) in enumerate(drawn):
            group.create_task(draw(index, prefix, seed))
    seconds = time.perf_counter() - start
    if 0 in lengths:
        raise EngineError("a sample of the batch drew no token: there is nothing to compare")
    prefixes = [prefix for prefix, _ in drawn]
    alone = await asyncio.to_thread(_library_seconds, todo, prefixes, lengths, sampling)
    return Batch(sum(lengths), seconds, alone)


def _library_seconds(
    todo: Work, prefixes: Sequence[Prefix], lengths: Sequence[int], sampling: Sampling
) -> float:
    """Of `generate` over all prompts, each to its length; loading is not counted."""
    import openvino_genai

    def configs(lengths: Sequence[int]) -> list[Any]:
        drawn: dict[str, Any] = {
            "do_sample": sampling.temperature > 0,
            "ignore_eos": True,
            "logprobs": 1,
        }
        if drawn["do_sample"]:
            drawn |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
            drawn |= {"top_k": sampling.top_k} if sampling.top_k > 0 else {}
        return [openvino_genai.GenerationConfig(max_new_tokens=n, **drawn) for n in lengths]

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.max_num_seqs, scheduler.cache_size = len(prefixes), todo.recipe.host.cache_gb
    path, threads = find_model(todo.recipe.study.model, silent).path, todo.recipe.host.threads
    pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
        path, scheduler, "CPU", cpu_properties(threads), {}
    )
    inputs = [_tensor(pipeline.get_tokenizer(), prefix) for prefix in prefixes]
    pipeline.generate(inputs, configs([1] * len(inputs)))
    start = time.perf_counter()
    pipeline.generate(inputs, configs(lengths))
    return time.perf_counter() - start


def _tensor(tokenizer: Any, prefix: Prefix) -> Any:
    """The prompt's ids, by the model's own template."""
    turns = [{"role": role, "content": content} for role, content in prefix.messages]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False).input_ids
