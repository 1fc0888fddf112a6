"""The `openai` engine on real servers: how it is opened, and what each of them must show."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponder.engines.openai import OpenAIEngine
from ponder.engines.openai.probes import OPENING
from ponder.engines.openai.requests import Prompt
from ponder.engines.openai.server import Server
from ponder.types import Completion, Prefix, Problem, Sampling, Step

PROBLEM = Prefix.root(Problem.ask("Name three fruits, each in a paragraph of its own."))
STEPS = Sampling(temperature=0.7, separator="\n", max_tokens=60, max_step_tokens=25)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Abilities are found by the first test and read by all others."""
    return tmp_path_factory.mktemp("cache")


@asynccontextmanager
async def opened_on(
    url: str, model: str, cache: Path, **options: object
) -> AsyncGenerator[OpenAIEngine, None]:
    """The engine on a server's model, closed at the end."""
    engine = await OpenAIEngine.open(url, model, cache_folder=cache, **options)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        await engine.aclose()


async def drawn(
    engine: OpenAIEngine, prefix: Prefix, sampling: Sampling, *seeds: int
) -> list[Completion]:
    """In the order of the seeds; none may fail."""
    got = [completion async for completion in engine.generate(prefix, sampling, seeds)]
    assert [completion.error for completion in got] == [None] * len(seeds)
    return sorted(got, key=lambda completion: completion.index)


async def path_whose_ids_text_and_counts_agree(
    engine: OpenAIEngine, text_of: Callable[[list[int]], Awaitable[str]]
) -> tuple[Prefix, Completion]:
    """Three steps, each checked; `text_of` is the server's own detokenizer. The last one drawn."""
    prefix, prompt = PROBLEM, None
    for seed in (11, 12, 13):
        [completion] = await drawn(engine, prefix, STEPS, seed)
        ids, usage = completion.token_ids, completion.usage
        assert ids is not None
        assert await text_of(list(ids)) == completion.text
        assert prompt is None or usage.prompt == prompt
        assert usage.prompt is not None
        assert usage.generated is not None
        assert usage.generated - len(ids) == (completion.ended == "eos")
        assert len(ids) == len(completion.offsets or ()) == len(completion.logprobs or ())
        prompt = usage.prompt + len(ids)
        prefix = prefix.grow(Step(completion.text, ids, completion.tokenizer))
    return prefix, completion


async def check_prompt_is_that_of_the_chat_endpoint(engine: OpenAIEngine, model: str) -> None:
    """Counted by the server itself."""
    server = Server(engine.http, model, engine.abilities.optional)
    [completion] = await drawn(engine, OPENING, Sampling(max_tokens=1), 1)
    chat = await server.count(Prompt.of_messages(OPENING.messages))
    assert completion.usage.prompt == chat
