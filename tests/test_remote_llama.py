"""Remote verifiers against a real server: llama.cpp's, in a process of its own."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ponder.backends.models import default_model
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores, Usage
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_counts import Bill, RemoteCounts
from ponder.verifiers.remote_labels import Label, LabelReader
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.remote_scores import RemoteScores, Run
from ponder.verifiers.reward_formats import Place, Reading
from tests.byte_checkpoint import BAD, GOOD, checkpoint, ids_of
from tests.llama_server import running

__all__ = ["checkpoint"]

pytestmark = pytest.mark.engine

PROBLEM = Problem.ask("Kim buys 6 packs of 7 cards and gives 2 away. How many are left?")
STEPS = ("Kim buys 6 * 7 = 42 cards.\n\n", "42 - 2 = 40, so 40 cards are left.")
PAIRS = [(" yes", " no"), ("+", "-"), (" the", " zebra")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(default_model()) as address:
        yield address


@asynccontextmanager
async def reader(url: str, *texts: str) -> AsyncGenerator[LabelReader, None]:
    one, other = (Label(tokenized(url, text)[0], text) for text in texts)
    connection = RemoteConnection(url)
    try:
        yield LabelReader(connection, "smollm2", (one, other))
    finally:
        await connection.aclose()


def tokenized(url: str, text: str) -> list[int]:
    ids: list[int] = httpx.post(f"{url}/tokenize", json={"content": text}).json()["tokens"]
    return ids


def all_probabilities(url: str, token_ids: list[int]) -> dict[int, float]:
    """Log-probabilities of the whole vocabulary as the next token."""
    body = {"prompt": token_ids, "n_predict": 1, "n_probs": 49152, "temperature": 1.0}
    answer = httpx.post(f"{url}/completion", json=body, timeout=60).json()
    told = answer["completion_probabilities"][0]["top_logprobs"]
    assert len(told) == 49152
    return {entry["id"]: entry["logprob"] for entry in told}


@pytest.mark.parametrize("labels", PAIRS, ids=lambda pair: "".join(pair))
async def test_two_labels_are_as_in_the_whole_distribution(
    url: str, labels: tuple[str, str]
) -> None:
    ids = tokenized(url, f"{PROBLEM.question}\n{STEPS[0]}Is that right? Answer:")
    bills: list[Usage] = []
    async with reader(url, *labels) as asked:
        probability = await asked.read(ids, bills.append)
        truth = all_probabilities(url, ids)
        one, other = (truth[label.id] for label in asked.labels)
    assert probability == pytest.approx(1 / (1 + math.exp(other - one)), abs=1e-3)
    assert {usage.prompt for usage in bills} == {len(ids)}
    assert bills[-1].cached is not None


async def test_a_reward_server_end_to_end(url: str, checkpoint: Path) -> None:
    """With ids of another tokenizer: numbers like any other, to the served model."""
    family = str(checkpoint / "labels.toml")
    verifier = RewardServer(url, "smollm2", family, tokenizer=str(checkpoint), block_size=1)
    problem = Problem.ask("2 + 2?")
    prefix = Prefix.root(problem).grow(Step("2 + 2 = 4.\n\n")).grow(Step("So 4."))
    [answer] = await verifier.score(problem, [prefix])
    await verifier.aclose()
    assert isinstance(answer, StepScores), answer
    for end, score in enumerate(answer.scores, 1):
        ids = ids_of(*("2 + 2 = 4.", "So 4.")[:end], question="2 + 2?")
        truth = all_probabilities(url, ids)
        assert score == pytest.approx(1 / (1 + math.exp(truth[BAD] - truth[GOOD])), abs=1e-3)
    assert verifier.counts.distinct == sum(answer.tokens or ())


async def test_a_beam_search_computes_each_token_about_once(url: str) -> None:
    """Depth 4, 4 beams of 4 slots: each beam grows by a step that it is asked about."""
    counts = RemoteCounts(block_size=1)
    paths = [tokenized(url, PROBLEM.question + f" Way {beam}:") for beam in range(4)]
    async with reader(url, "+", "-") as asked:

        async def ask(run: Run, bill: Bill) -> tuple[float, ...]:
            return (await asked.read(run.token_ids, bill),)

        await asked.read(paths[0][:1], list[Usage]().append)  # finds the server's way
        scores = RemoteScores(ask, together=False, counts=counts)
        for depth in range(4):
            for beam, path in enumerate(paths):
                path += tokenized(url, f" In step {depth} of way {beam} 6 * 7 = 42 cards. +")
                place = Place(0, len(path) - 1)
                await scores.of(PROBLEM, Reading((tuple(path),), (place,), ()))
    print(f"computed {counts.computed} of {counts.distinct} distinct tokens: {counts.ratio:.3f}")
    assert counts.requests == 16
    assert counts.ratio is not None
    assert counts.least_ratio is not None
    assert counts.least_ratio == 1.0
    assert counts.ratio < 1.35, "four paths whose beginning each of four slots reads once"


@pytest.mark.parametrize("style", ["verdict", "forced", "critic"])
async def test_a_judge_end_to_end(url: str, style: Any) -> None:
    """A model this small gives verdicts now and then: each outcome is one that is told."""
    judge = JudgeVerifier(url, "smollm2", style, k=2, max_tokens=24)
    prefix = Prefix.root(PROBLEM)
    for text in STEPS:
        prefix = prefix.grow(Step(text))
    [answer] = await judge.score(PROBLEM, [prefix])
    await judge.aclose()
    counts = judge.counts
    assert counts.critiques == 2
    assert (counts.generated or 0) >= 2
    if counts.unparsable == 2:
        assert isinstance(answer, ScoreFailure)
        assert answer.reason.startswith("0 of 2 critiques hold a verdict")
    else:
        assert isinstance(answer, StepScores)
        assert all(0 <= score <= 1 for score in answer.scores)
        assert sum(answer.tokens or ()) == (counts.prompt or 0) + (counts.generated or 0)
