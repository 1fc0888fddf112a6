"""The `openai` engine and remote verifiers of labels against a real `vllm serve`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import httpx
import pytest

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder import asolve
from ponder.backends.http import HttpClient
from ponder.engines.openai import OpenAIEngine
from ponder.engines.openai.abilities import Abilities
from ponder.engines.openai.probes import tried
from ponder.engines.openai.server import Server
from ponder.engines.openai.ways import Way
from ponder.types import Prefix, Problem, Sampling, Step, StepScores, Usage
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_counts import Bill, RemoteCounts
from ponder.verifiers.remote_labels import Label, LabelReader
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.remote_scores import RemoteScores, Run
from ponder.verifiers.reward_formats import Place, Reading
from tests.byte_checkpoint import BAD, GOOD, checkpoint, ids_of
from tests.contracts.engine_contract import CONTRACT, Check
from tests.served_engine import (
    PROBLEM,
    STEPS,
    cache,
    check_prompt_is_that_of_the_chat_endpoint,
    drawn,
    opened_on,
    path_whose_ids_text_and_counts_agree,
)
from tests.vllm_models import language_model
from tests.vllm_server import BLOCK, NAME, serving

__all__ = ["cache", "checkpoint"]

WAYS = [Way("ids", "tokenize"), Way("chat", "chat")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serving(model) as address:
        yield address


def opened(url: str, cache: Path) -> AbstractAsyncContextManager[OpenAIEngine]:
    return opened_on(url, NAME, cache)


async def test_it_is_found_to_take_ids_and_to_continue(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        found, capabilities = engine.abilities, engine.capabilities
    assert (found.mode, found.rendering) == ("ids", "tokenize")
    assert capabilities.continues
    assert capabilities.logprobs
    assert capabilities.reproducible == "same_batch"
    assert capabilities.tokenizer is not None
    assert found.several
    assert "return_token_ids" in found.optional


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(url: str, cache: Path, check: Check) -> None:
    async with opened(url, cache) as engine:
        await check(engine)


@pytest.mark.parametrize("way", WAYS, ids=[way.mode for way in WAYS])
async def test_it_continues_in_every_mode(url: str, way: Way) -> None:
    http = HttpClient(f"{url}/v1")
    found, able = await tried(way, Server(http, NAME), None)
    abilities = Abilities(facts="", continues=True, optional=able.optional, **found._asdict())
    engine = OpenAIEngine(http, NAME, abilities)
    prefix, prompts = PROBLEM, []
    for text in ("", "1. Red\n", "2. Green\n"):
        prefix = prefix.grow(Step(text)) if text else prefix
        [completion] = await drawn(engine, prefix, Sampling(max_tokens=2), 1)
        prompts.append(completion.usage.prompt or 0)
    await engine.aclose()
    assert 0 < prompts[1] - prompts[0] == prompts[2] - prompts[1], "no new turn"


async def test_ids_text_and_counts_agree_along_a_path(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:

        async def text_of(ids: list[int]) -> str:
            body = {"model": NAME, "tokens": ids}
            return str((await engine.http.post("/detokenize", body))["prompt"])

        prefix, _ = await path_whose_ids_text_and_counts_agree(engine, text_of)
        [last] = await drawn(engine, prefix, Sampling(max_tokens=2), 1)
    assert last.usage.cached, "told at a stream's end, which one cut at its separator never sees"


async def test_the_prompt_is_that_of_the_chat_endpoint(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        await check_prompt_is_that_of_the_chat_endpoint(engine, NAME)


async def test_seeds_count_and_no_advice_of_the_model_leaks_in(url: str, cache: Path) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=12)
    async with opened(url, cache) as engine:
        first, again, *others = [
            (await drawn(engine, PROBLEM, sampling, seed))[0] for seed in (5, 5, 6, 7, 8)
        ]
    assert first.token_ids == again.token_ids
    assert len({completion.token_ids for completion in (first, *others)}) == 4


async def until(url: str, *, runs: bool, every: float) -> None:
    """Wait until the server itself says that some of its requests run, or none.

    Asked every so many seconds: telling is work for a server that has two cores.
    """
    async with asyncio.timeout(60), httpx.AsyncClient(timeout=60) as client:
        running: float | None = None
        while running is None or (running > 0) != runs:
            await asyncio.sleep(every)
            told = (await client.get(f"{url}/metrics")).text.splitlines()
            counts = [line for line in told if line.startswith("vllm:num_requests_running{")]
            running = sum(float(line.rpartition(" ")[2]) for line in counts)


async def test_closing_early_frees_the_slots(url: str, cache: Path) -> None:
    """While some of the samples run, however many have ended."""
    long = Sampling(temperature=1.0, max_tokens=1900)
    async with opened(url, cache) as engine:
        async with aclosing(engine.generate(PROBLEM, long, range(8))) as stream:
            waiting = asyncio.ensure_future(anext(stream))
            await until(url, runs=True, every=0.5)
            waiting.cancel()
            await asyncio.wait([waiting])
        async with asyncio.timeout(10):  # left alone, 1900 tokens each take a minute and more
            await until(url, runs=False, every=0.05)


async def test_a_prompt_beyond_the_context_is_one_clear_line(url: str, cache: Path) -> None:
    long = Prefix.root(Problem.ask("word " * 5000))
    async with opened(url, cache) as engine:
        [completion] = [sample async for sample in engine.generate(long, STEPS, [1])]
    assert completion.error is not None
    assert "context" in completion.error
    assert "\n" not in completion.error


async def test_a_beam_search_end_to_end(url: str, cache: Path) -> None:
    async with opened(url, cache) as engine:
        trace = await asolve(
            "Kim buys 6 packs of 7 cards. How many?",
            model=engine,
            strategy="beam_search",
            verifier="confidence",
            n=4,
            sampling={"separator": "\n", "max_tokens": 90, "max_step_tokens": 30},
        )
    assert trace.stopped == "complete"
    assert len(trace.candidates) == 4
    assert not [node.error for node in trace.nodes if node.error]
    assert max(len(node.path) for node in trace.nodes) > 1


def truth(model: Path, ids: list[int]) -> dict[int, float]:
    """Log-probabilities of the next token, by transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        found = loaded(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    return dict(enumerate(found.tolist()))


async def test_two_labels_are_as_in_the_whole_distribution(url: str, model: Path) -> None:
    """And by vLLM's own way, since the unlikeliest of all tokens is read too."""
    ids = list(range(40, 90))
    known = truth(model, ids)
    ranked = sorted(known, key=known.__getitem__)
    one, other = ranked[0], ranked[len(ranked) // 2]
    connection = RemoteConnection(url)
    reader = LabelReader(connection, NAME, (Label(one, "no text"), Label(other, "none either")))
    bills: list[Usage] = []
    probability = await reader.read(ids, bills.append)
    await connection.aclose()
    assert probability == pytest.approx(1 / (1 + math.exp(known[other] - known[one])), abs=1e-3)
    [usage] = bills
    assert usage.prompt == len(ids)
    assert usage.cached is not None


async def test_a_reward_server_end_to_end(url: str, model: Path, checkpoint: Path) -> None:
    family = str(checkpoint / "labels.toml")
    verifier = RewardServer(url, NAME, family, tokenizer=str(checkpoint), block_size=BLOCK)
    problem = Problem.ask("2 + 2?")
    prefix = Prefix.root(problem).grow(Step("2 + 2 = 4.\n\n")).grow(Step("So 4."))
    [answer] = await verifier.score(problem, [prefix])
    await verifier.aclose()
    assert isinstance(answer, StepScores), answer
    for end, score in enumerate(answer.scores, 1):
        known = truth(model, ids_of(*("2 + 2 = 4.", "So 4.")[:end], question="2 + 2?"))
        assert score == pytest.approx(1 / (1 + math.exp(known[BAD] - known[GOOD])), abs=1e-3)
    assert verifier.counts.distinct == sum(answer.tokens or ())
    assert verifier.counts.computed is not None


async def test_a_beam_search_computes_what_whole_blocks_allow(url: str) -> None:
    """Depth 6, 4 beams: each grows by a step of 20 tokens that it is asked about."""
    counts = RemoteCounts(block_size=BLOCK)
    connection = RemoteConnection(url)
    reader = LabelReader(connection, NAME, (Label(GOOD, "+"), Label(BAD, "-")))

    async def ask(run: Run, bill: Bill) -> tuple[float, ...]:
        return (await reader.read(run.token_ids, bill),)

    scores = RemoteScores(ask, together=False, counts=counts)
    paths = [[*range(100, 200), 200 + beam] for beam in range(4)]
    for depth in range(6):
        for beam, path in enumerate(paths):
            path += [30 + (depth * 7 + beam * 5 + at) % 150 for at in range(20)]
            place = Place(0, len(path) - 1)
            await scores.of(PROBLEM.problem, Reading((tuple(path),), (place,), ()))
    await connection.aclose()
    print(f"computed / distinct {counts.ratio:.3f}, least {counts.least_ratio:.3f}")
    assert counts.requests == 24
    assert counts.computed is not None
    assert counts.computed == counts.floor


async def test_a_judge_end_to_end(url: str) -> None:
    judge = JudgeVerifier(url, NAME, "verdict", k=2, max_tokens=24)
    [answer] = await judge.score(PROBLEM.problem, [PROBLEM.grow(Step("6 * 7 = 42."))])
    await judge.aclose()
    assert judge.counts.critiques == 2
    assert (judge.counts.generated or 0) >= 2
    assert answer
