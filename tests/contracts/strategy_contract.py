"""What every strategy promises, checked of any one: `CONTRACT` holds the checks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import pytest

from ponder.budget import Budget
from ponder.runner import solve
from ponder.session import SessionOptions, Slots
from ponder.store.log import MemoryCallLog
from ponder.strategies.base import Strategy
from ponder.trace import Trace
from ponder.types import NodePath, Prefix
from tests.playing import PROBLEM, World, fails_sometimes, reasons, tasks_left

Check = Callable[[Strategy], Awaitable[None]]


def spent_in_order(trace: Trace) -> int:
    return sum(node.tokens or 0 for node in trace.nodes)


async def same_seed_same_trace_in_any_order(strategy: Strategy) -> None:
    digests = {(await World(order).solve(strategy)).digest() for order in range(4)}
    assert len(digests) == 1
    other = await World(options=SessionOptions(seed=1)).solve(strategy)
    assert other.digest() not in digests


async def spends_no_more_than_its_budget(strategy: Strategy) -> None:
    full = await World().solve(strategy)
    assert full.stopped in ("complete", "settled")
    rng = random.Random(7)
    for _ in range(12):
        tokens = rng.randint(1, spent_in_order(full) + 10)
        options = SessionOptions(budget=Budget(generated_tokens=tokens))
        traces = [await World(order, options=options).solve(strategy) for order in (1, 2)]
        assert traces[0].digest() == traces[1].digest()
        assert spent_in_order(traces[0]) <= tokens


async def counts_generations(strategy: Strategy) -> None:
    full = await World().solve(strategy)
    for most in (1, 2, len(full.nodes)):
        options = SessionOptions(budget=Budget(generations=most))
        trace = await World(3, options=options).solve(strategy)
        assert len(trace.nodes) <= most
        assert trace.stopped == (full.stopped if len(full.nodes) <= most else "budget")


async def total_tokens_hold_the_prompt_too(strategy: Strategy) -> None:
    options = SessionOptions(budget=Budget(total_tokens=260))
    traces = [await World(order, options=options).solve(strategy) for order in (1, 2)]
    assert traces[0].digest() == traces[1].digest()
    roots = {node.prompt_tokens for node in traces[0].nodes if not node.parent}
    assert spent_in_order(traces[0]) + max((r or 0 for r in roots), default=0) <= 260


async def votes_only_with_whole_solutions(strategy: Strategy) -> None:
    def cut(trace: Trace) -> set[NodePath]:
        paths = {node.path for node in trace.nodes if node.cut}
        return paths & {candidate.path for candidate in trace.candidates}

    def rambles(prefix: Prefix, seed: int) -> str:
        return reasons(prefix, seed).replace("\n\n", " so" * 20 + "\n\n") + " so" * 20

    world = World(script=rambles, options=SessionOptions(budget=Budget(generated_tokens=40)))
    seed = await first_seed(strategy, world, lambda trace: bool(cut(trace)))
    options = replace(world.options, seed=seed)
    trace = await World(script=rambles, options=options).solve(strategy)
    assert all(not c.votes for c in trace.candidates if c.path in cut(trace))
    assert trace.chosen not in cut(trace)


async def records_a_failure_and_goes_on(strategy: Strategy) -> None:
    def failed(trace: Trace) -> set[NodePath]:
        return {node.path for node in trace.nodes if node.error}

    world = World(script=fails_sometimes)
    seed = await first_seed(strategy, world, lambda trace: bool(failed(trace)))
    options = SessionOptions(seed=seed)
    worlds = [World(order, script=fails_sometimes, options=options) for order in (1, 2)]
    trace, again = [await world.solve(strategy) for world in worlds]
    assert trace.digest() == again.digest()
    assert {node.error for node in trace.nodes if node.error} == {"out of memory"}
    assert not failed(trace) & {c.path for c in trace.candidates}
    assert not failed(trace) & {node.path[:-1] for node in trace.nodes}, "nothing goes on from it"


async def first_seed(strategy: Strategy, world: World, shows: Callable[[Trace], bool]) -> int:
    """The first seed with which the world gives a trace that shows what is looked for."""
    for seed in range(100):
        options = replace(world.options, seed=seed)
        if shows(await replace(world, options=options, log=MemoryCallLog()).solve(strategy)):
            return seed
    raise AssertionError("no seed gives such a trace")


async def all_failing_is_an_answerless_trace(strategy: Strategy) -> None:
    from ponder.engines.scripted import Reply

    trace = await World(script=lambda _p, _s: Reply("", error="no")).solve(strategy)
    assert trace.nodes
    assert trace.candidates == ()
    assert trace.answer is None
    assert trace.chosen is None


async def leaves_nothing_behind_when_cancelled(strategy: Strategy) -> None:
    before = tasks_left()
    world = World(1)
    world.engine._latency = lambda _prefix, _seed: 30.0
    slots = Slots(8)
    task = asyncio.create_task(solve(PROBLEM, world.method(strategy), world.log, slots))
    for _ in range(100):
        await asyncio.sleep(0)
    assert world.engine.running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tasks_left() == before
    assert world.engine.running == 0
    assert slots.free == 8


async def replays_from_its_log(strategy: Strategy) -> None:
    world = World(1, script=fails_sometimes)
    trace = await world.solve(strategy)
    calls = world.engine.calls
    options = SessionOptions(failures_from_log=True)
    again = World(2, log=world.log, script=reasons, options=options)
    replayed = await again.solve(strategy)
    assert replayed.digest() == trace.digest()
    assert calls == len(trace.nodes) or trace.stopped == "settled"
    assert again.engine.calls <= calls - len(trace.nodes)  # only what had been ended midway


async def candidates_are_what_was_generated(strategy: Strategy) -> None:
    trace = await World().solve(strategy)
    paths = {node.path for node in trace.nodes}
    assert trace.candidates
    assert {candidate.path for candidate in trace.candidates} <= paths
    assert trace.chosen in {candidate.path for candidate in trace.candidates}
    assert trace.strategy == strategy.name
    assert trace.n == strategy.n
    assert len({node.path for node in trace.nodes}) == len(trace.nodes)
    assert list(trace.nodes) == sorted(trace.nodes, key=lambda n: (len(n.path), n.path))
    for decision in trace.decisions:
        assert set(decision.paths) <= paths
        assert decision.reason


async def takes_no_more_than_it_says(strategy: Strategy) -> None:
    """Whatever the model says: here it never comes to an end."""
    short = replace(strategy, sampling=replace(strategy.sampling, max_tokens=40))  # type: ignore[type-var, attr-defined]
    for script in (reasons, lambda _p, _s: "on and on\n\n" * 90):
        trace = await World(script=script).solve(short)
        assert len(trace.nodes) <= short.at_most.generations
        assert spent_in_order(trace) <= short.at_most.generated_tokens


async def runs_no_more_than_the_slots(strategy: Strategy) -> None:
    world = World(1, slots=3)
    await world.solve(strategy)
    assert world.engine.most_running <= 3


CONTRACT: Final[tuple[Check, ...]] = (
    same_seed_same_trace_in_any_order,
    spends_no_more_than_its_budget,
    counts_generations,
    total_tokens_hold_the_prompt_too,
    votes_only_with_whole_solutions,
    records_a_failure_and_goes_on,
    all_failing_is_an_answerless_trace,
    leaves_nothing_behind_when_cancelled,
    replays_from_its_log,
    candidates_are_what_was_generated,
    takes_no_more_than_it_says,
    runs_no_more_than_the_slots,
)
