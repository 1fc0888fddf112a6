"""The embedded engine on its default model: one engine, saturated, searched, cancelled."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time
from contextlib import aclosing
from itertools import pairwise

import pytest
import pytest_asyncio

from ponder.engines.embedded import EmbeddedEngine
from ponder.types import Message, Prefix, Problem, Sampling, Step
from tests.engine_fixture import ENGINE_MARKS, embedded_engine
from tests.walking import Path, asked, check_ids, check_separators, drawn, walked, within

__all__ = ["embedded_engine"]

pytestmark = ENGINE_MARKS


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def paths(embedded_engine: EmbeddedEngine) -> list[Path]:
    return await walked(embedded_engine, 30)


async def test_every_separator_is_found(paths: list[Path]) -> None:
    check_separators(paths)


async def test_ids_along_a_path_are_the_engines_own_and_spell_the_text(
    embedded_engine: EmbeddedEngine, paths: list[Path]
) -> None:
    await check_ids(embedded_engine, paths)


@pytest.mark.long
async def test_separators_and_ids_in_500_texts(embedded_engine: EmbeddedEngine) -> None:
    paths = await walked(embedded_engine, 500)
    check_separators(paths)
    await check_ids(embedded_engine, paths)


async def test_every_token_of_a_step_but_the_last_was_cached_for_the_next(
    paths: list[Path],
) -> None:
    steps = [(before, after) for path in paths for before, after in pairwise(path)]
    assert steps
    for before, after in steps:
        prompt, cached, _ = after.usage
        assert prompt is not None
        assert cached is not None
        assert prompt - cached <= 33, (before.usage, after.usage)
    whole = sum(1 for _, after in steps if after.usage.cached == (after.usage.prompt or 0) - 1)
    assert whole > len(steps) / 2


async def test_a_cold_prompt_is_computed_once_for_all_its_samples(
    embedded_engine: EmbeddedEngine,
) -> None:
    cold = Prefix.root(Problem.ask("Name a river, a lake, a mountain, a desert and a wood." * 2))
    few = Sampling(max_tokens=4)
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(drawn(embedded_engine, cold, few, range(8 * n, 8 * n + 8)))
            for n in range(2)
        ]
    usages = [completion.usage for call in calls for completion in call.result()]
    assert {usage.prompt for usage in usages} == {usages[0].prompt}
    computed = sorted((usage.prompt or 0) - (usage.cached or 0) for usage in usages)
    assert computed[:-1] == [1] * 15
    assert computed[-1] > 30


async def test_seeds_give_different_samples_and_zero_temperature_the_likeliest(
    embedded_engine: EmbeddedEngine,
) -> None:
    prompt = asked(1)
    sampled = await drawn(embedded_engine, prompt, Sampling(max_tokens=16), range(8))
    assert len({completion.text for completion in sampled}) > 5
    greedy = Sampling(temperature=0, max_tokens=1)
    first = await drawn(embedded_engine, prompt, greedy, range(3))
    assert len({completion.text for completion in first}) == 1
    assert first[0].logprobs is not None
    others = [completion.logprobs[0] for completion in sampled if completion.logprobs]
    assert first[0].logprobs[0] >= max(others) - 0.1


async def test_a_stop_string_ends_the_solution_and_is_cut_off(
    embedded_engine: EmbeddedEngine,
) -> None:
    sampling = Sampling(max_tokens=40, stop=(" ", "\n"))
    for completion in await drawn(embedded_engine, asked(1), sampling, range(4)):
        assert completion.ended == "eos"
        assert " " not in completion.text
        assert "\n" not in completion.text


async def test_the_answer_is_continued_and_no_turn_is_begun(
    embedded_engine: EmbeddedEngine,
) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Count from 1 to 9."))
    rendered = await embedded_engine.render(messages)
    assert rendered.text.endswith("<|im_start|>assistant\n")
    assert rendered.text.count("<|im_start|>") == 3
    assert await embedded_engine.encode(rendered.text) == rendered.ids
    tokenizer = embedded_engine.capabilities.tokenizer
    counted = Step("1, 2, 3, 4, 5,", await embedded_engine.encode("1, 2, 3, 4, 5,"), tokenizer)
    prefix = Prefix.root(Problem(messages)).grow(counted)
    [completion] = await drawn(
        embedded_engine, prefix, Sampling(temperature=0, max_tokens=3), range(1)
    )
    assert completion.text.startswith(" 6")


async def test_a_saturated_engine_computes_outside_of_this_program(
    embedded_engine: EmbeddedEngine,
) -> None:
    """So the event loop and the interpreter's lock stay free.

    Told by processor time: on a busy machine a loop is late for other reasons.
    """
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    own, its = time.process_time(), processor_seconds(embedded_engine.pid)
    ticking = asyncio.create_task(tick())
    await drawn(embedded_engine, asked(2), Sampling(max_tokens=40), range(64))
    ticking.cancel()
    assert time.process_time() - own < (processor_seconds(embedded_engine.pid) - its) / 2
    assert ticks > 40  # more than one a step of the engine


def processor_seconds(pid: int | None) -> float:
    """What all threads of a process have computed so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_cancelled_samples_leave_the_engine_within_a_second(
    embedded_engine: EmbeddedEngine,
) -> None:
    endless = Sampling(max_tokens=2000)
    async with aclosing(embedded_engine.generate(asked(3), endless, range(80))) as samples:
        waiting = asyncio.ensure_future(anext(samples))
        assert await within(20, embedded_engine, lambda running: running >= 64)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await within(1, embedded_engine, lambda running: running == 0)
