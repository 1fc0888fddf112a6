"""What every engine promises, checked of any one: `CONTRACT` holds the checks.

Each takes an open engine, draws a few tokens, and leaves it open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

from ponder.engines.base import Engine
from ponder.types import Completion, Prefix, Problem, Sampling, Step

Check = Callable[[Engine], Awaitable[None]]

PROBLEM: Final = Prefix.root(Problem.ask("Name three fruits, each in a line of its own."))
SHORT: Final = Sampling(max_tokens=8)
STEPS: Final = Sampling(max_tokens=24, max_step_tokens=12, separator="\n")


async def drawn(
    engine: Engine, prefix: Prefix, sampling: Sampling, *seeds: int
) -> list[Completion]:
    """The completions in the order of their seeds, each checked by itself."""
    got = [completion async for completion in engine.generate(prefix, sampling, seeds)]
    assert sorted(completion.index for completion in got) == list(range(len(seeds)))
    for completion in got:
        assert completion.error is None
        _check_tokens(completion)
        generated = completion.usage.generated
        assert generated is None or 0 < generated <= sampling.limit
    return sorted(got, key=lambda completion: completion.index)


def _check_tokens(completion: Completion) -> None:
    """Ids, log-probabilities and offsets belong to one another and to the text."""
    ids, offsets = completion.token_ids, completion.offsets
    assert (ids is None) == (completion.tokenizer is None)
    if ids is not None:
        assert offsets is not None
        assert completion.logprobs is None or len(completion.logprobs) == len(ids)
        assert len(offsets) == len(ids)
    if offsets is not None:
        assert list(offsets) == sorted(offsets)
        assert ([0, *offsets])[-1] == len(completion.text)


def grown(prefix: Prefix, completion: Completion) -> Prefix:
    """The prefix and the completion as one step."""
    ids, tokenizer = completion.token_ids, completion.tokenizer
    return prefix.grow(Step(completion.text, ids, tokenizer, completion.logprobs))


async def states_what_it_is(engine: Engine) -> None:
    capabilities = engine.capabilities
    assert capabilities.identity
    assert capabilities.slots >= 1
    assert capabilities.reproducible in ("always", "same_batch", "never")
    assert engine.capabilities == capabilities


async def answers_every_seed_once(engine: Engine) -> None:
    for completion in await drawn(engine, PROBLEM, SHORT, 11, 5, 77):
        assert completion.ended in ("eos", "length")
        assert completion.tokenizer == engine.capabilities.tokenizer
        assert (completion.logprobs is not None) == engine.capabilities.logprobs


async def answers_no_seed_with_nothing(engine: Engine) -> None:
    assert await drawn(engine, PROBLEM, SHORT) == []


async def ends_solutions_at_their_limit(engine: Engine) -> None:
    [completion] = await drawn(engine, PROBLEM, Sampling(max_tokens=1), 3)
    assert completion.ended in ("eos", "length")


async def ends_steps_at_their_limit(engine: Engine) -> None:
    sampling = Sampling(max_tokens=8, max_step_tokens=1, separator="\n\n\n\n")
    [completion] = await drawn(engine, PROBLEM, sampling, 3)
    assert completion.ended in ("eos", "step_length")


async def goes_on_step_by_step(engine: Engine) -> None:
    """The separator stays in the text, and nothing follows it but the rest of its token."""
    prefix, prompt = PROBLEM, 0
    for seed in (1, 2, 3):
        [completion] = await drawn(engine, prefix, STEPS, seed)
        assert ("\n" in completion.text) == (completion.ended == "separator")
        if completion.token_ids is None:
            assert "\n" not in completion.text[:-1]
        else:
            assert completion.offsets is not None
            assert "\n" not in completion.text[: ([0, 0, *completion.offsets])[-2]]
        assert completion.usage.prompt is None or completion.usage.prompt > prompt
        assert not completion.retokenised
        prompt = completion.usage.prompt or 0
        if completion.ended == "eos":
            return
        prefix = grown(prefix, completion)


async def says_that_it_retokenised(engine: Engine) -> None:
    foreign = PROBLEM.grow(Step("Apples\n", (1, 2, 3), "the tokenizer of another engine"))
    [completion] = await drawn(engine, foreign, SHORT, 4)
    assert completion.retokenised


async def serves_calls_side_by_side(engine: Engine) -> None:
    async with asyncio.TaskGroup() as group:
        for seed in range(engine.capabilities.slots + 1):
            group.create_task(drawn(engine, PROBLEM, Sampling(max_tokens=2), seed))


async def leaves_no_task_behind(engine: Engine) -> None:
    """Closed after a first sample, or cancelled while it waits for one."""
    await drawn(engine, PROBLEM, SHORT, 1)
    before = asyncio.all_tasks()
    short_and_long = Sampling(max_tokens=64)
    async with aclosing(engine.generate(PROBLEM, short_and_long, [1, 2, 3])) as stream:  # type: ignore[type-var]
        await anext(stream)
    task = asyncio.create_task(drawn(engine, PROBLEM, short_and_long, 4, 5))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    # A fake server in this loop may need a moment to see that its client has gone.
    if left := asyncio.all_tasks() - before:
        assert not (await asyncio.wait(left, timeout=20))[1]
    await drawn(engine, PROBLEM, SHORT, 6)


CONTRACT: Final[tuple[Check, ...]] = (
    states_what_it_is,
    answers_every_seed_once,
    answers_no_seed_with_nothing,
    ends_solutions_at_their_limit,
    ends_steps_at_their_limit,
    goes_on_step_by_step,
    says_that_it_retokenised,
    serves_calls_side_by_side,
    leaves_no_task_behind,
)
