"""The child process on a tiny model: how it dies, what it refuses, what it shares."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from ponder.backends.models import silent
from ponder.backends.openvino_connection import Connection
from ponder.backends.prefix_ledger import BLOCK
from ponder.engines.embedded import EmbeddedEngine
from ponder.errors import EngineError, EngineLostError, UsageError
from ponder.types import Completion, Prefix, Problem, Sampling, Step
from tests.tiny_gguf import write_tiny

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

HELLO = Prefix.root(Problem.ask("Hello?"))
LONG = Sampling(max_tokens=150, temperature=1.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, and the cache of its converted form."""
    found = tmp_path_factory.mktemp("tiny")
    write_tiny(found / "tiny.gguf")
    return found


@asynccontextmanager
async def opened(
    folder: Path, slots: int = 64, cache_tokens: int | None = None
) -> AsyncIterator[EmbeddedEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONDER_CACHE", str(folder))
        engine = await EmbeddedEngine.open(
            folder / "tiny.gguf", slots=slots, cache_tokens=cache_tokens
        )
    try:
        yield engine
    finally:
        await engine.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(folder: Path) -> AsyncIterator[EmbeddedEngine]:
    """An engine with little room: three samples at once, nine blocks of cache."""
    async with opened(folder, slots=3, cache_tokens=9 * BLOCK) as found:
        yield found


async def drawn(
    engine: EmbeddedEngine, prefix: Prefix, sampling: Sampling, seeds: int = 1
) -> list[Completion]:
    found = [c async for c in engine.generate(prefix, sampling, range(1, seeds + 1))]
    return sorted(found, key=lambda completion: completion.index)


async def within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    for _ in range(int(seconds * 200)):
        if await condition():
            return True
        await asyncio.sleep(0.005)
    return False


async def gone(pid: int) -> bool:
    return not _lives(pid)


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_a_death_fails_the_running_samples_and_is_mended_once(folder: Path) -> None:
    async with opened(folder) as engine:

        async def busy() -> bool:
            return await engine.running() > 0

        for life in (1, 2):
            running = asyncio.create_task(drawn(engine, HELLO, LONG, 4))
            assert await within(5, busy)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            failed = await running
            assert {c.error for c in failed} == {"the engine's process died (signal 9)"}
            assert {(c.text, c.ended) for c in failed} == {("", "aborted")}
            if life == 1:
                [again] = await drawn(engine, HELLO, Sampling(max_tokens=2))
                assert again.error is None
        with pytest.raises(EngineLostError, match="not started again"):
            await drawn(engine, HELLO, Sampling(max_tokens=2))
        with pytest.raises(EngineLostError, match="not started again"):
            await engine.encode("x")


@pytest.mark.parametrize("kind", [EngineError, OSError])
async def test_a_process_that_cannot_be_started_again_is_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    async def no_memory(_settings: object) -> Connection:
        raise kind("there is no memory for the model")

    async with opened(folder) as engine:
        assert engine.pid is not None
        monkeypatch.setattr(Connection, "open", no_memory)
        os.kill(engine.pid, signal.SIGKILL)
        told = r"died \(signal 9\); it could not be started again: there is no memory for the model"
        with suppress(EngineLostError):
            for _ in range(100):  # until it has noticed
                await drawn(engine, HELLO, Sampling(max_tokens=2))
        with pytest.raises(EngineLostError, match=told):
            await drawn(engine, HELLO, Sampling(max_tokens=2))


ORPHANED = """
import asyncio, sys
from ponder.engines.embedded import EmbeddedEngine
from ponder.types import Prefix, Problem, Sampling

async def main():
    engine = await EmbeddedEngine.open(sys.argv[1])
    print(engine.pid, flush=True)
    prefix = Prefix.root(Problem.ask("Hello?"))
    while True:
        async for _ in engine.generate(prefix, Sampling(max_tokens=200), range(8)):
            pass

asyncio.run(main())
"""


async def test_the_child_does_not_outlive_a_killed_parent(folder: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORPHANED, str(folder / "tiny.gguf")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PONDER_CACHE": str(folder)},
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not await gone(child)
    parent.kill()
    await parent.wait()
    assert await within(2, partial(gone, child))


async def test_a_prompt_without_room_is_refused_and_harms_no_neighbour(
    engine: EmbeddedEngine,
) -> None:
    too_long = Prefix.root(Problem.ask("x" * 300))
    async with asyncio.TaskGroup() as group:
        neighbours = group.create_task(drawn(engine, HELLO, LONG, 4))
        refused = await drawn(engine, too_long, LONG, 2)
        for completion in refused:
            assert completion.ended == "aborted"
            assert "engine holds sequences of 256 tokens" in str(completion.error)
    assert [c.error for c in neighbours.result()] == [None] * 4


async def test_more_samples_than_slots_and_cache_all_end(engine: EmbeddedEngine) -> None:
    found = await drawn(engine, HELLO, LONG, 8)
    assert [c.error for c in found] == [None] * 8
    assert len({c.text for c in found}) > 5


async def test_a_sample_that_fills_the_context_ends_there(engine: EmbeddedEngine) -> None:
    endless = Sampling(max_tokens=10_000, max_step_tokens=5_000, temperature=1.5)
    for completion in await drawn(engine, HELLO, endless, 2):
        prompt, _, generated = completion.usage
        assert completion.ended in ("length", "eos")
        assert (completion.ended == "length") == ((prompt or 0) + (generated or 0) == 256)


async def test_ids_outside_the_vocabulary_are_refused(engine: EmbeddedEngine) -> None:
    wrong = HELLO.grow(Step("?", (9999,), engine.capabilities.tokenizer))
    [completion] = await drawn(engine, wrong, Sampling())
    assert "token id 9999 is outside the vocabulary of" in str(completion.error)
    with pytest.raises(EngineError, match="token id -1 is outside the vocabulary"):
        await engine.decode([-1])


async def test_text_that_cannot_be_encoded_fails_its_own_samples_only(
    engine: EmbeddedEngine,
) -> None:
    broken = Prefix.root(Problem.ask("a lone surrogate: \ud800"))
    [completion] = await drawn(engine, broken, Sampling())
    assert "surrogate" in str(completion.error)
    with pytest.raises(EngineError, match="surrogate"):
        await engine.encode("\ud800")
    [completion] = await drawn(engine, HELLO, Sampling(max_tokens=2))
    assert completion.error is None


async def test_a_step_without_own_ids_is_handed_over_as_text(engine: EmbeddedEngine) -> None:
    ids = await engine.encode("the\n\n")
    start = (await engine.render(HELLO.messages)).ids
    for step in (Step("the\n\n"), Step("the\n\n", (1, 2, 3, 4, 5), "another tokenizer")):
        [completion] = await drawn(engine, HELLO.grow(step), Sampling(max_tokens=1))
        assert completion.retokenised == (step.tokenizer is not None)
        assert completion.usage.prompt == len(start) + len(ids)


async def test_a_character_split_over_two_steps_is_whole_in_the_text(
    engine: EmbeddedEngine,
) -> None:
    ids = await engine.encode("漢")
    assert len(ids) == 3
    first = HELLO.grow(Step("", ids[:1], engine.capabilities.tokenizer))
    for completion in await drawn(engine, first, Sampling(max_tokens=8, temperature=2.0), 8):
        assert completion.token_ids is not None
        assert completion.text == await engine.decode([*ids[:1], *completion.token_ids])


async def test_an_exported_folder_loads(engine: EmbeddedEngine, folder: Path) -> None:
    [exported] = (folder / "models").iterdir()
    other = await EmbeddedEngine.open(exported)
    try:
        assert other.capabilities.tokenizer == engine.capabilities.tokenizer
        assert other.capabilities.identity.startswith(exported.name)
        [completion] = await drawn(other, HELLO, Sampling(max_tokens=4))
        assert completion.error is None
    finally:
        await other.aclose()
    assert other.pid is not None
    assert await gone(other.pid)
    [completion] = await drawn(other, HELLO, Sampling())
    assert completion.error == "the engine is closed"


@pytest.mark.parametrize("later", [0, 0.01, 0.2])
async def test_closing_while_it_opens_leaves_no_process(folder: Path, later: float) -> None:
    before = _children()

    async def begun() -> bool:
        return _children() > before

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONDER_CACHE", str(folder))
        opening = asyncio.create_task(EmbeddedEngine.open(folder / "tiny.gguf"))
        assert await within(5, begun)
        await asyncio.sleep(later)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await (await opening).aclose()  # it was open already
    assert _children() == before


def _children() -> set[int]:
    """Processes of a model that this one started."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for file in found for pid in file.read_text().split()}
    return {p for p in pids if "openvino_child" in Path(f"/proc/{p}/cmdline").read_text()}


async def test_options_out_of_range_are_refused(folder: Path) -> None:
    file = folder / "tiny.gguf"
    for name, opening in {
        "slots": EmbeddedEngine.open(file, slots=0),
        "cache_gb": EmbeddedEngine.open(file, cache_gb=-1),
        "cache_tokens": EmbeddedEngine.open(file, cache_tokens=0),
        "threads": EmbeddedEngine.open(file, threads=0, announce=silent),
    }.items():
        with pytest.raises(UsageError, match=f"`{name}` must be a whole number of at least 1"):
            await opening
