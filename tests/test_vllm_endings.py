"""How the `vllm` engine ends: closed with samples under way, and with its process killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder.engines.vllm import VllmEngine, VllmOptions
from ponder.errors import EngineLostError
from ponder.types import Completion, Prefix, Problem, Sampling
from tests.test_vllm import descendants
from tests.vllm_models import CONTEXT, tiny
from tests.walking import within

OPTIONS = VllmOptions(max_model_len=CONTEXT, cache_gb=0.25, slots=8, eager=True)
LONG = Sampling(max_tokens=CONTEXT)
HELLO = Prefix.root(Problem.ask("Hello?"))
SECONDS = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("endings"))


async def drawn(engine: VllmEngine, samples: int) -> list[Completion]:
    return [completion async for completion in engine.generate(HELLO, LONG, range(samples))]


async def busy(engine: VllmEngine) -> asyncio.Task[list[Completion]]:
    """Samples under way: more than there are slots."""
    task = asyncio.create_task(drawn(engine, 16))
    assert await within(SECONDS, engine, lambda running: running > 0)
    return task


async def test_closing_fails_what_still_runs(folder: Path) -> None:
    engine = await VllmEngine.open(str(folder), OPTIONS)
    samples = await busy(engine)
    await engine.aclose()
    ended = await asyncio.wait_for(samples, SECONDS)
    assert len(ended) == 16
    failures = {sample.error for sample in ended} - {None}
    assert failures == {"the engine is closed"}
    [late] = await drawn(engine, 1)
    assert late.error == "the engine is closed"


async def test_a_killed_process_ends_the_run_and_not_its_samples_alone(folder: Path) -> None:
    engine = await VllmEngine.open(str(folder), OPTIONS)
    try:
        samples = await busy(engine)
        cores = [pid for pid, line in descendants(os.getpid()).items() if "EngineCore" in line]
        assert cores, descendants(os.getpid())
        for pid in cores:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineLostError, match="vLLM has ended"):
            await asyncio.wait_for(samples, SECONDS)
        with pytest.raises(EngineLostError, match="vLLM has ended"):
            await asyncio.wait_for(drawn(engine, 1), SECONDS)
    finally:
        await engine.aclose()
