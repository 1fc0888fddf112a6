"""The `openai` engine against a real server: llama.cpp's, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import httpx
import pytest

from ponder.backends.http import HttpClient
from ponder.backends.models import default_model
from ponder.engines.openai import OpenAIEngine
from ponder.engines.openai.abilities import Abilities
from ponder.engines.openai.probes import tried
from ponder.engines.openai.server import Server
from ponder.engines.openai.templates import GivenTemplate, LlamaTemplate
from ponder.engines.openai.ways import Way
from ponder.types import Message, Prefix, Problem, Sampling, Step
from tests.contracts.engine_contract import CONTRACT, Check
from tests.llama_server import SLOTS, running
from tests.served_engine import (
    PROBLEM,
    STEPS,
    cache,
    check_prompt_is_that_of_the_chat_endpoint,
    drawn,
    opened_on,
    path_whose_ids_text_and_counts_agree,
)

__all__ = ["cache"]

pytestmark = pytest.mark.engine

WAYS = [Way("ids", "apply-template"), Way("text", "apply-template"), Way("chat", "chat")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(default_model()) as address:
        yield address


def opened(url: str, cache: Path) -> AbstractAsyncContextManager[OpenAIEngine]:
    return opened_on(url, "smollm2", cache)


async def test_it_is_found_to_take_ids_and_to_continue(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        found, capabilities = engine.abilities, engine.capabilities
    assert (found.mode, found.rendering) == ("ids", "apply-template")
    assert capabilities.continues
    assert capabilities.logprobs
    assert capabilities.reproducible == "same_batch"
    assert capabilities.slots == SLOTS
    assert capabilities.tokenizer is not None
    assert capabilities.parameters == 134_515_008
    assert found.several


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(url: str, cache: Path, check: Check) -> None:
    async with opened(url, cache) as engine:
        await check(engine)


@pytest.mark.parametrize("way", WAYS, ids=[way.mode for way in WAYS])
async def test_it_continues_in_every_mode(url: str, way: Way) -> None:
    http = HttpClient(f"{url}/v1")
    found, able = await tried(way, Server(http, "smollm2"), None)
    abilities = Abilities(facts="", continues=True, optional=able.optional, **found._asdict())
    engine = OpenAIEngine(http, "smollm2", abilities)
    prefix = PROBLEM
    for seed in (1, 2):
        [completion] = await drawn(engine, prefix, STEPS, seed)
        assert completion.ended in ("separator", "step_length")
        assert completion.text.endswith("\n") == (completion.ended == "separator")
        prefix = prefix.grow(Step(completion.text, completion.token_ids, completion.tokenizer))
    await engine.aclose()


async def test_ids_text_and_counts_agree_along_a_path(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:

        async def text_of(ids: list[int]) -> str:
            return str((await engine.http.post("/detokenize", {"tokens": ids}))["content"])

        _, last = await path_whose_ids_text_and_counts_agree(engine, text_of)
    assert last.usage.cached, "a longer prefix reads the shorter one's from the cache"


async def test_the_prompt_is_that_of_the_chat_endpoint(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        await check_prompt_is_that_of_the_chat_endpoint(engine, "smollm2")


async def test_a_given_template_renders_as_the_server_does(url: str) -> None:
    http = HttpClient(f"{url}/v1")
    given = str((await http.get("/props"))["chat_template"])
    turns = [
        Message("system", "Be brief."),
        Message("user", "Hi  there\n"),
        Message("assistant", "Hello."),
        Message("user", "2 + 2?"),
    ]
    for messages in (turns, turns[1:]):
        served = await LlamaTemplate(http).opening(messages)
        assert await GivenTemplate(given).opening(messages) == served
    await http.aclose()


async def test_equal_seeds_give_equal_texts(url: str, cache: Path) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=12)
    async with opened(url, cache) as engine:
        first, again, other = [
            (await drawn(engine, PROBLEM, sampling, seed))[0] for seed in (5, 5, 6)
        ]
    assert first.token_ids == again.token_ids != other.token_ids


async def test_log_probabilities_are_those_before_temperature(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        cold, hot = [
            (await drawn(engine, PROBLEM, Sampling(temperature, top_k=1, max_tokens=6), 5))[0]
            for temperature in (0.5, 2.0)
        ]
    assert cold.token_ids == hot.token_ids
    assert cold.logprobs == pytest.approx(hot.logprobs, abs=1e-3)
    assert all(value < 0 for value in cold.logprobs or ())


async def test_without_seeds_samples_share_one_prefill(url: str, cache: Path) -> None:
    async with opened_on(url, "smollm2", cache, seeded=False) as engine:
        completions = await drawn(engine, PROBLEM, Sampling(max_tokens=5), 1, 2, 3)
    assert [completion.index for completion in completions] == [0, 1, 2]
    assert all(completion.text for completion in completions)


async def until_drawing(engine: OpenAIEngine, wanted: int) -> None:
    """Wait until the server itself says that so many of its slots draw tokens."""
    address = f"{engine.http.base_url.removesuffix('/v1')}/slots"
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        drawing = -1
        while drawing != wanted:
            await asyncio.sleep(0.01)
            slots = (await client.get(address)).json()
            busy = [slot["next_token"][0] for slot in slots if slot["is_processing"]]
            drawing = sum(token["n_decoded"] > 0 for token in busy)


async def test_closing_early_frees_the_slots(url: str, cache: Path) -> None:
    long = Sampling(temperature=1.0, max_tokens=900)
    async with opened(url, cache) as engine:
        async with aclosing(engine.generate(PROBLEM, long, [1, 2, 3])) as stream:
            waiting = asyncio.ensure_future(anext(stream))
            await until_drawing(engine, 3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        begun = time.monotonic()
        await until_drawing(engine, 0)
        assert time.monotonic() - begun < 3, "900 tokens each would have taken far longer"


async def test_a_prompt_beyond_the_context_is_one_clear_line(url: str, cache: Path) -> None:
    long = Prefix.root(Problem.ask("word " * 5000))
    async with opened(url, cache) as engine:
        [completion] = [sample async for sample in engine.generate(long, STEPS, [1])]
    assert completion.error is not None
    assert "context" in completion.error
    assert "\n" not in completion.error
