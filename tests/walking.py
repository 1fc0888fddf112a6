"""Searches that an engine is led through step by step, and what must hold of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

from ponder.engines.base import Engine
from ponder.engines.prefix_ids import Rendered
from ponder.types import Completion, Message, Prefix, Problem, Sampling, Step


class LocalEngine(Engine, Protocol):
    """One that runs here, and tells how it reads text."""

    async def render(self, messages: Sequence[Message]) -> Rendered: ...
    async def decode(self, token_ids: Sequence[int]) -> str: ...
    async def running(self) -> int: ...


QUESTIONS = [
    "Kim buys 6 packs of 7 cards and loses 5. How many are left? Think step by step.",
    "Write three short paragraphs about the sea.",
    "List five fruits, one a line, with a sentence about each.",
    "Explain how to boil an egg, step by step, with an emoji in each step.",
    "Schreibe zwei Sätze über Köln und dann zwei über 東京.",
]
SEPARATOR = "\n\n"
STEP = Sampling(temperature=0.9, max_tokens=72, max_step_tokens=24, separator=SEPARATOR)


def asked(number: int) -> Prefix:
    question = QUESTIONS[number % len(QUESTIONS)]
    return Prefix.root(Problem.ask(f"{question} ({number})"))


async def drawn(
    engine: LocalEngine, prefix: Prefix, sampling: Sampling, seeds: range
) -> list[Completion]:
    found = [completion async for completion in engine.generate(prefix, sampling, seeds)]
    assert [c.error for c in found] == [None] * len(seeds)
    return sorted(found, key=lambda completion: completion.index)


class Path(list[Completion]):
    """The completions of one solution, step by step, and the prefix that they make."""

    prefix: Prefix

    async def walk(self, engine: LocalEngine, number: int) -> Path:
        """Solve one problem as a search does, in steps that each continue the last."""
        self.prefix = asked(number)
        left = STEP.max_tokens
        while left > 0:
            seeds = range(1000 * number + left, 1000 * number + left + 1)
            rest = replace(STEP, max_tokens=left)
            [completion] = await drawn(engine, self.prefix, rest, seeds)
            self.append(completion)
            step = Step(completion.text, completion.token_ids, completion.tokenizer)
            self.prefix = self.prefix.grow(step)
            left -= completion.usage.generated or 0
            if completion.ended in ("eos", "length"):
                return self
        raise AssertionError("the last token of a solution ends it")


async def walked(engine: LocalEngine, count: int) -> list[Path]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(Path().walk(engine, number)) for number in range(count)]
    return [task.result() for task in tasks]


def check_separators(paths: list[Path]) -> None:
    """A separator is in a text exactly if it ended it, and completes in the last token."""
    found = 0
    for completion in (completion for path in paths for completion in path):
        if completion.ended != "separator":
            whole = completion.ended == "length" and completion.text.count(SEPARATOR) == 1
            assert SEPARATOR not in completion.text or (whole and completes_last(completion))
        else:
            assert completes_last(completion)
            found += 1
    assert found > len(paths) // 4


def completes_last(completion: Completion) -> bool:
    assert completion.offsets is not None
    before = completion.offsets[-2] if len(completion.offsets) > 1 else 0
    return SEPARATOR in completion.text and SEPARATOR not in completion.text[:before]


async def check_ids(engine: LocalEngine, paths: list[Path]) -> None:
    """What the engine continues is what it drew, and the ids spell the text."""
    for path in paths:
        prompt = len((await engine.render(path.prefix.messages)).ids)
        ids: list[int] = []
        for completion in path:
            assert not completion.retokenised
            assert completion.usage.prompt == prompt + len(ids)
            assert completion.token_ids is not None
            assert completion.logprobs is not None
            assert completion.offsets is not None
            assert len(completion.token_ids) == len(completion.logprobs) == len(completion.offsets)
            assert all(left <= right for left, right in pairwise(completion.offsets))
            assert (completion.offsets or (0,))[-1] == len(completion.text)
            assert all(logprob <= 0 for logprob in completion.logprobs)
            ids += completion.token_ids
        assert await engine.decode(ids) == path.prefix.text


async def within(seconds: float, engine: LocalEngine, condition: Callable[[int], bool]) -> bool:
    end = time.monotonic() + seconds
    while not (met := condition(await engine.running())):
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.001)
    return met
