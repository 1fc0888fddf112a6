"""The `vllm` engine on a real model: one engine, searched, saturated, cancelled, closed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder import asolve
from ponder.backends.checkpoint import end_ids
from ponder.engines.vllm import VllmEngine, VllmOptions
from ponder.types import Completion, Message, Prefix, Problem, Sampling, Step
from tests.contracts.engine_contract import CONTRACT, Check
from tests.vllm_models import CONTEXT, LEAKING, language_model, language_models
from tests.walking import Path as Walk
from tests.walking import asked, check_ids, check_separators, drawn, walked, within

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOTS = 16
BLOCK = 32
LONG = "Write about a river, a lake, a mountain, a desert and a wood. " * 12


@pytest.fixture(scope="module", params=language_models(), ids=lambda named: Path(named).name)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.getbasetemp(), request.param)


@pytest.fixture(autouse=True)
def _told(model: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("model", model.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model: Path) -> AsyncIterator[VllmEngine]:
    options = VllmOptions(max_model_len=CONTEXT, cache_gb=1, slots=SLOTS, eager=True)
    engine = await VllmEngine.open(str(model), options)
    yield engine
    await engine.aclose()
    await engine.aclose()
    [after] = [c async for c in engine.generate(asked(1), Sampling(), [1])]
    assert after.error == "the engine is closed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def paths(engine: VllmEngine) -> list[Walk]:
    return await walked(engine, 30)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(engine: VllmEngine, check: Check) -> None:
    await check(engine)
    assert await within(1, engine, lambda running: running == 0)


async def test_it_says_what_runs(engine: VllmEngine, model: Path) -> None:
    found = engine.capabilities
    assert found.identity.startswith(f"vllm:{model.name}@")
    assert found.identity.endswith("/bfloat16/unquantized")
    assert found.slots == SLOTS
    assert found.parameters is not None
    assert found.parameters > 10**8
    assert found.continues
    assert found.logprobs


async def test_every_separator_is_found(paths: list[Walk]) -> None:
    check_separators(paths)


async def test_ids_along_a_path_are_the_engines_own_and_spell_the_text(
    engine: VllmEngine, paths: list[Walk]
) -> None:
    await check_ids(engine, paths)


async def test_all_whole_blocks_of_a_step_were_cached_for_the_next(paths: list[Walk]) -> None:
    """A block is kept when it is full; the last token of a step is computed with the next."""
    steps = [(before, after) for path in paths for before, after in pairwise(path)]
    assert steps
    for before, after in steps:
        assert before.usage.prompt is not None
        known = before.usage.prompt + len(before.token_ids or ()) - 1
        assert after.usage.cached is not None
        assert after.usage.cached >= known // BLOCK * BLOCK, (before.usage, after.usage)


async def test_a_cold_prompt_is_computed_once_for_all_its_samples(engine: VllmEngine) -> None:
    """By vLLM's own count: all but one read every whole block, whichever call they are of."""
    cold = Prefix.root(Problem.ask(LONG))
    few = Sampling(max_tokens=4)
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(drawn(engine, cold, few, range(8 * call, 8 * call + 8)))
            for call in range(2)
        ]
    usages = [completion.usage for call in calls for completion in call.result()]
    prompt = usages[0].prompt
    assert prompt is not None
    cached = sorted(usage.cached or 0 for usage in usages)
    assert cached[0] < BLOCK
    assert cached[1:] == [(prompt - 1) // BLOCK * BLOCK] * 15
    assert prompt > 5 * BLOCK


async def test_seeds_give_different_samples_and_no_advice_of_the_model_leaks_in(
    engine: VllmEngine, model: Path
) -> None:
    assert str(LEAKING["top_k"]) in (model / "generation_config.json").read_text()
    sampled = await drawn(engine, asked(1), Sampling(temperature=1.0, max_tokens=16), range(8))
    assert len({completion.text for completion in sampled}) > 5


def ids(completions: list[Completion]) -> list[tuple[int, ...] | None]:
    return [completion.token_ids for completion in completions]


async def test_equal_seeds_give_equal_samples_in_equal_batches(engine: VllmEngine) -> None:
    """What `reproducible` promises; how a batch of another size differs is only told."""
    assert engine.capabilities.reproducible == "same_batch"
    sampling = Sampling(temperature=0.8, max_tokens=48)
    await drawn(engine, asked(7), sampling, range(1))  # its prompt is in the cache from now on
    alone = [ids(await drawn(engine, asked(7), sampling, range(1))) for _ in range(2)]
    assert alone[0] == alone[1]
    batches = [ids(await drawn(engine, asked(7), sampling, range(12))) for _ in range(2)]
    same = sum(one == other for one, other in zip(*batches, strict=True))
    print(f"equal in two batches of 12: {same}; alone and in one: {alone[0][0] == batches[0][0]}")
    assert same == 12


async def test_log_probabilities_are_those_before_temperature(
    engine: VllmEngine, model: Path
) -> None:
    """And those of the checkpoint, computed by transformers."""
    cold, hot = [
        (await drawn(engine, asked(2), Sampling(temperature, top_k=1, max_tokens=6), range(1)))[0]
        for temperature in (0.5, 2.0)
    ]
    assert cold.token_ids == hot.token_ids
    assert cold.token_ids is not None
    assert cold.logprobs == pytest.approx(hot.logprobs, abs=0.02)
    prompt = (await engine.render(asked(2).messages)).ids
    assert cold.logprobs == pytest.approx(reference(model, prompt, cold.token_ids), abs=0.15)


def reference(model: Path, prompt: tuple[int, ...], drawn: tuple[int, ...]) -> list[float]:
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    with torch.no_grad():
        logits = loaded(torch.tensor([[*prompt, *drawn]])).logits[0].float().log_softmax(-1)
    return [float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(drawn)]


async def test_a_stop_string_ends_the_solution_and_is_cut_off(engine: VllmEngine) -> None:
    sampling = Sampling(max_tokens=40, stop=(" ", "\n"))
    for completion in await drawn(engine, asked(1), sampling, range(4)):
        assert completion.ended == "eos"
        assert not {" ", "\n"} & set(completion.text)


async def test_the_answer_is_continued_and_ends_with_the_models_end(
    engine: VllmEngine, model: Path
) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Count from 1 to 9."))
    rendered = await engine.render(messages)
    assert await engine.encode(rendered.text) == rendered.ids
    counted = await engine.encode("1, 2, 3, 4, 5,")
    prefix = Prefix.root(Problem(messages)).grow(
        Step("1, 2, 3, 4, 5,", counted, engine.capabilities.tokenizer)
    )
    [completion] = await drawn(engine, prefix, Sampling(temperature=0, max_tokens=3), range(1))
    assert completion.text.startswith(" 6")
    brief = await drawn(engine, asked(2), Sampling(temperature=0.2, max_tokens=600), range(4))
    ended = [completion for completion in brief if completion.ended == "eos"]
    assert ended, [completion.ended for completion in brief]
    assert all(len(c.token_ids or ()) == (c.usage.generated or 0) - 1 for c in ended)
    assert not end_ids(model) & {token for c in ended for token in c.token_ids or ()}


async def test_prompts_that_vllm_must_not_see_are_one_line(engine: VllmEngine) -> None:
    long = Prefix.root(Problem.ask("word " * CONTEXT))
    strange = asked(1).grow(Step("x", (10**6,), engine.capabilities.tokenizer))
    for prefix, said in ((long, "leaves no room for an answer"), (strange, "outside the vocab")):
        refused = [c async for c in engine.generate(prefix, Sampling(max_tokens=4), [1, 2])]
        assert [c.index for c in refused] == [0, 1]
        for completion in refused:
            assert said in (completion.error or "")
            assert "\n" not in (completion.error or "")
    await drawn(engine, asked(1), Sampling(max_tokens=4), range(1))


async def test_an_answer_ends_where_the_context_does(engine: VllmEngine) -> None:
    filling = await engine.encode(" word" * (CONTEXT - 100))
    prefix = asked(1).grow(Step("", filling[: CONTEXT - 100], engine.capabilities.tokenizer))
    found = await drawn(engine, prefix, Sampling(max_tokens=500, max_step_tokens=400), range(2))
    for completion in found:
        assert completion.ended in ("length", "eos")
        prompt, _, generated = completion.usage
        if completion.ended == "length":
            assert (prompt or 0) + (generated or 0) == CONTEXT


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_what_is_given_up_leaves_the_engine_within_a_second(
    engine: VllmEngine, how: str
) -> None:
    endless = Sampling(temperature=1.5, max_tokens=1500)
    async with aclosing(engine.generate(asked(3), endless, range(2 * SLOTS))) as samples:
        waiting = asyncio.ensure_future(anext(samples))
        assert await within(20, engine, lambda running: running >= 2 * SLOTS)
        if how == "cancelled":
            waiting.cancel()
            await asyncio.wait([waiting])
        else:
            await waiting
    assert await within(1, engine, lambda running: running == 0)


async def test_ctrl_c_is_kept_from_vllms_processes(engine: VllmEngine) -> None:
    """They end with the engine, after the samples in flight."""
    started = descendants(os.getpid())
    assert [name for name in started.values() if name.startswith("VLLM::")]
    assert not [name for pid, name in started.items() if not deaf_to_interrupts(pid)]


def deaf_to_interrupts(pid: int) -> bool:
    """Whether the process holds SIGINT back, or ignores it."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    deaf_to = int(status["SigBlk"], 16) | int(status["SigIgn"], 16)
    return bool(deaf_to >> (signal.SIGINT - 1) & 1)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below `pid`."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found |= descendants(child)
    return found


async def test_a_beam_search_end_to_end(engine: VllmEngine) -> None:
    trace = await asolve(
        "Kim buys 6 packs of 7 cards and loses 5. How many are left?",
        model=engine,
        strategy="beam_search",
        verifier="confidence",
        n=4,
        sampling={"separator": "\n", "max_tokens": 96, "max_step_tokens": 32},
    )
    assert trace.stopped == "complete"
    assert len(trace.candidates) == 4
    assert not [node.error for node in trace.nodes if node.error]
    assert len({len(node.path) for node in trace.nodes}) > 1, "it went on from its beams"
    assert trace.spent.cached
    assert await engine.running() == 0
