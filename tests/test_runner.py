"""Runs of many problems: order, resume after SIGKILL, replay."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ponder.answers.math import MathAnswers
from ponder.answers.remembered import RememberedAnswers
from ponder.budget import Budget, Entry
from ponder.engines.replay import ReplayEngine
from ponder.engines.scripted import Reply
from ponder.errors import ReplayError, UnsupportedError
from ponder.runner import Job, Method, all_failed, replay, run, unfinished, unscored
from ponder.session import SessionOptions, Slots
from ponder.session.calls import seed_of
from ponder.store.base import CallKey, CallRecord
from ponder.store.log import StoredCallLog
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Trace
from ponder.types import (
    Answer,
    Completion,
    Example,
    Prefix,
    Problem,
    Sample,
    Sampling,
    ScoreFailure,
    Step,
)
from ponder.verifiers.replay import ReplayVerifier
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import PlainAnswers, World, fails_sometimes, judged, reasons
from tests.resumed_run import examples

STEPS = Sampling(separator="\n\n")


def opened(folder: Path, count: int) -> RunStore:
    store = RunStore.open(folder, study={}, host={}, recipe_toml="")
    store.add_examples(examples(count))
    return store


async def solved(world: World, strategy: Strategy, store: RunStore) -> None:
    problems = [example.problem for example in store.examples()]
    jobs = [Job(p, world.method(strategy), store) for p in unfinished(store, problems, strategy.n)]
    await run(jobs, Slots(world.slots))


async def test_a_run_solves_every_problem(tmp_path: Path) -> None:
    with opened(tmp_path, 7) as store:
        await solved(World(1), RepeatedSampling(n=3), store)
        assert [trace.problem_id for trace in store.traces()] == [f"p{i:03}" for i in range(7)]


async def test_the_last_problems_trace_waits_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.store.writer.SECONDS_PER_TRANSACTION", 3600.0)
    with opened(tmp_path, 7) as store:
        async with asyncio.timeout(60):
            await solved(World(1), RepeatedSampling(n=3), store)
        assert len(store.finished()) == 7


async def test_problems_are_opened_only_while_slots_are_free(tmp_path: Path) -> None:
    drawn_of: Counter[str] = Counter()
    most = 0

    def latency(prefix: Prefix, _seed: int) -> float:
        nonlocal most
        drawn_of.setdefault(prefix.problem.id, 0)
        most = max(most, sum(count < 4 for count in drawn_of.values()))
        return 0.002

    def script(prefix: Prefix, seed: int) -> str:
        drawn_of[prefix.problem.id] += 1
        return reasons(prefix, seed)

    world = World(script=script, slots=8)
    world.engine._latency = latency
    with opened(tmp_path, 30) as store:
        await solved(world, RepeatedSampling(n=4), store)
    assert 2 <= most <= 3  # two use all the slots


async def test_no_problem_is_opened_while_too_much_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, full, begun = asyncio.Event(), asyncio.Event(), set[str]()
    waiting: list[str] = []
    finish = RunStore.finish

    async def slow_disk(self: RunStore, trace: Trace, **options: Any) -> None:
        waiting.append(trace.problem_id)
        if len(waiting) == 3:
            full.set()
        await kept.wait()
        await finish(self, trace, **options)

    def noting(prefix: Prefix, seed: int) -> str:
        begun.add(prefix.problem.id)
        return reasons(prefix, seed)

    monkeypatch.setattr(RunStore, "finish", slow_disk)
    monkeypatch.setattr("ponder.runner.UNKEPT", 6)
    with opened(tmp_path, 12) as store:
        running = asyncio.create_task(solved(World(script=noting), RepeatedSampling(n=2), store))
        await asyncio.wait_for(full.wait(), 60)
        for _ in range(200):
            await asyncio.sleep(0)
        assert 3 <= len(begun) <= 3 + 4, "those that wait, and what was open beside the last"
        kept.set()
        await running
        assert len(begun) == len(store.finished()) == 12


async def test_no_problem_is_opened_while_too_many_answers_wait_for_the_parser(
    tmp_path: Path,
) -> None:
    may_parse, full, begun = asyncio.Event(), asyncio.Event(), set[str]()
    waiting = 0

    class Slow(PlainAnswers):
        async def parse(self, raw: str) -> Answer:
            nonlocal waiting
            waiting += 1
            if waiting == 8:
                full.set()
            await may_parse.wait()
            return await super().parse(raw)

    def noting(prefix: Prefix, seed: int) -> str:
        begun.add(prefix.problem.id)
        return reasons(prefix, seed)

    world = World(script=noting, slots=2, answers=Slow())
    with opened(tmp_path, 12) as store:
        running = asyncio.create_task(solved(world, RepeatedSampling(n=2), store))
        await asyncio.wait_for(full.wait(), 60)
        for _ in range(200):
            await asyncio.sleep(0)
        assert 4 <= len(begun) <= 4 + 2, "the backlog, and what was open beside the last"
        may_parse.set()
        await running
        assert len(begun) == len(store.finished()) == 12


async def test_nothing_waits_for_a_straggler(tmp_path: Path) -> None:
    """The first problem's samples come when all others have ended."""
    ended, others = list[str](), asyncio.Event()

    class Watch:
        on_node = on_decision = staticmethod(lambda *_: None)

        def on_problem_done(self, problem_id: str, _trace: Trace) -> None:
            ended.append(problem_id)
            if len(ended) == 11:
                others.set()

    world = World(slots=4)
    generate = world.engine.generate

    async def held(
        prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        if prefix.problem.id == "p000":
            await others.wait()
        async with aclosing(generate(prefix, sampling, seeds)) as completions:
            async for completion in completions:
                yield completion

    world.engine.generate = held  # type: ignore[method-assign]
    with opened(tmp_path, 12) as store:
        method = world.method(RepeatedSampling(n=2))
        jobs = [Job(e.problem, method, store, Watch()) for e in store.examples()]
        async with asyncio.timeout(60):
            await run(jobs, Slots(4))
    assert ended[-1] == "p000"


class Quiet:
    """A view that shows nothing."""

    def on_node(self, problem_id: str, node: object) -> None:
        pass

    def on_decision(self, problem_id: str, decision: object) -> None:
        pass

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:
        pass


@pytest.mark.parametrize("budget", [None, Budget(generated_tokens=500)])
@pytest.mark.parametrize(
    "strategy",
    [RepeatedSampling(n=8), BeamSearch(8, sampling=STEPS), DiverseVerifierTreeSearch(8)],
    ids=lambda strategy: strategy.name,
)
@pytest.mark.parametrize("watched", [False, True])
async def test_a_problem_is_freed_when_it_ends(
    tmp_path: Path, strategy: Strategy, budget: Budget | None, watched: bool
) -> None:
    """Whatever was made for it, and with no help of the garbage collector.

    With it goes what verifiers keep of it, which they do as long as its object is there.
    """

    def alive() -> Counter[type]:
        kinds = {Prefix, Step, Sample, Completion, Entry}
        return Counter(kind for kind in map(type, gc.get_objects()) if kind in kinds)

    scored: set[weakref.ref[Problem]] = set()

    def noting(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        scored.add(weakref.ref(problem))
        return judged(problem, texts)

    world = World(1, verifiers=(ScriptedVerifier(noting),))
    method = world.method(strategy)
    if budget is not None:
        method = replace(method, budget=lambda _: budget)
    with opened(tmp_path, 2) as store:
        observer = Quiet() if watched else None
        jobs = [Job(e.problem, method, store, observer) for e in store.examples()]
        gc.collect()
        before = alive()
        gc.disable()
        try:
            await run(jobs, Slots(world.slots))
            assert alive() == before
            assert not any(problem() for problem in scored)
        finally:
            gc.enable()
        assert [trace.answer is not None for trace in store.traces()] == [True, True]


async def test_stop_opens_nothing_more_and_keeps_what_is_done(tmp_path: Path) -> None:
    stop = asyncio.Event()

    class Watch:
        on_node = on_decision = staticmethod(lambda *_: None)

        def on_problem_done(self, _problem_id: str, _trace: Trace) -> None:
            stop.set()

    world = World(slots=2)
    world.engine._latency = lambda _prefix, _seed: 0.05
    with opened(tmp_path, 20) as store:
        method = world.method(RepeatedSampling(n=2))
        jobs = [Job(e.problem, method, store, Watch()) for e in store.examples()]
        await run(jobs, Slots(2), stop)
        assert 0 < len(store.finished()) < 20
        await solved(World(2), RepeatedSampling(n=2), store)
        assert len(store.finished()) == 20


async def test_an_error_that_is_no_failure_ends_the_run_and_keeps_what_is_done(
    tmp_path: Path,
) -> None:
    world = World(continues=False)
    with opened(tmp_path, 3) as store:
        with pytest.raises(UnsupportedError):
            await solved(world, BeamSearch(sampling=STEPS), store)
        assert store.finished() == set()


async def test_more_samples_only_draw_the_missing_ones(tmp_path: Path) -> None:
    with opened(tmp_path, 3) as store:
        await solved(World(), RepeatedSampling(n=2), store)
        world = World()
        await solved(world, RepeatedSampling(n=5), store)
        assert world.engine.calls == 3 * 3
        assert {len(trace.nodes) for trace in store.traces()} == {5}


async def test_recorded_calls_are_in_memory_before_their_problem_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand: list[bool] = []
    get = StoredCallLog.get

    def noting(log: StoredCallLog, key: CallKey) -> CallRecord | None:
        at_hand.append(log.at_hand(key.problem_id))
        return get(log, key)

    with opened(tmp_path, 3) as store:
        await solved(World(), RepeatedSampling(n=2), store)
    monkeypatch.setattr(StoredCallLog, "get", noting)
    with opened(tmp_path, 3) as store:
        await solved(World(verifiers=()), RepeatedSampling(n=5), store)
    assert at_hand == [True] * 3 * 5


async def test_problems_whose_samples_all_failed_are_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path, 2) as store:
        await solved(World(script=lambda _p, _s: Reply("", error="no")), RepeatedSampling(), store)
        assert all(all_failed(trace) for trace in store.traces())
        await solved(World(), RepeatedSampling(), store)
        assert not any(all_failed(trace) for trace in store.traces())


async def test_problems_of_which_nothing_could_be_scored_are_tried_again(tmp_path: Path) -> None:
    strategy = RepeatedSampling(selector="weighted")
    with opened(tmp_path, 3) as store:
        down = ScriptedVerifier(
            lambda p, t: ScoreFailure("down") if p.id != "p001" else judged(p, t)
        )
        await solved(World(verifiers=(down,)), strategy, store)
        assert [unscored(trace) for trace in store.traces()] == [True, False, True]
        problems = [example.problem for example in store.examples()]
        assert [p.id for p in unfinished(store, problems, strategy.n)] == ["p000", "p002"]
        world = World()
        await solved(world, strategy, store)
        assert world.engine.calls == 0, "the samples were in the log"
        assert not any(unscored(trace) for trace in store.traces())
        assert unfinished(store, problems, strategy.n) == []


@pytest.mark.parametrize(
    "strategy",
    [
        RepeatedSampling(n=4, selector="weighted"),
        BeamSearch(n=4, beam_width=2, sampling=STEPS),
        DiverseVerifierTreeSearch(n=4, beam_width=2, sampling=STEPS),
    ],
    ids=lambda s: s.name,
)
async def test_a_replay_makes_no_call_and_gives_equal_digests(
    tmp_path: Path, strategy: Strategy
) -> None:
    world = World(1, script=fails_sometimes)
    with opened(tmp_path, 6) as store:
        await solved(world, strategy, store)
    answers = PlainAnswers()
    verifiers = [ReplayVerifier(verifier.info) for verifier in world.verifiers]
    method = Method(strategy, ReplayEngine(world.engine.capabilities), verifiers, answers)
    with RunReader(tmp_path) as reader:
        pairs = [pair async for pair in replay(reader, method)]
        assert not any(reader.log.at_hand(kept.problem_id) for kept, _ in pairs)
    assert len(pairs) == 6
    assert all(kept.digest() == again.digest() for kept, again in pairs)
    assert any(node.error for kept, _ in pairs for node in kept.nodes)
    assert answers.parsed == []


@pytest.mark.parametrize("wave", [0, 3])
async def test_a_replay_of_what_the_deadline_ended_gives_equal_digests(
    tmp_path: Path, wave: int
) -> None:
    now = [0.0]

    def script(prefix: Prefix, seed: int) -> str:
        now[0] += 4
        return reasons(prefix, seed)

    options = SessionOptions(budget=Budget(seconds=10), clock=lambda: now[0])
    strategy = RepeatedSampling(n=9, stopping="exact" if wave else "none", wave=wave)
    world = World(script=script, slots=2, options=options)
    with opened(tmp_path, 3) as store:
        await solved(world, strategy, store)
    verifiers = [ReplayVerifier(verifier.info) for verifier in world.verifiers]
    replaying = ReplayEngine(world.engine.capabilities)
    method = Method(
        strategy,
        replaying,
        verifiers,
        PlainAnswers(),
        SessionOptions(budget=Budget(seconds=10)),
    )
    with RunReader(tmp_path) as reader:
        pairs = [pair async for pair in replay(reader, method)]
    assert [kept.stopped for kept, _ in pairs] == ["deadline"] * 3
    assert all(kept.digest() == again.digest() for kept, again in pairs)
    assert replaying.unrecorded is None


async def test_remembered_answers_are_not_parsed_again() -> None:
    inner = MathAnswers()
    kind = RememberedAnswers(inner, [Answer("1/2", "as it was")])
    assert await kind.parse("1/2") == Answer("1/2", "as it was")
    assert await kind.parse("3") == await inner.parse("3")
    assert kind.name == "math"
    kind.close()


async def test_a_replay_with_other_knobs_says_what_is_missing(tmp_path: Path) -> None:
    world = World(1)
    with opened(tmp_path, 1) as store:
        await solved(world, RepeatedSampling(n=2), store)
    method = Method(
        RepeatedSampling(n=3), ReplayEngine(world.engine.capabilities), (), PlainAnswers()
    )
    with (
        RunReader(tmp_path) as reader,
        pytest.raises(ReplayError, match="asks for 1 samples that are not recorded"),
    ):
        [pair async for pair in replay(reader, method)]
    options = SessionOptions()
    other = ReplayVerifier(world.verifiers[0].info._replace(identity="other"))
    method = Method(
        RepeatedSampling(n=2),
        ReplayEngine(world.engine.capabilities),
        (other,),
        PlainAnswers(),
        options,
    )
    with (
        RunReader(tmp_path) as reader,
        pytest.raises(ReplayError, match="asks scripted for 1 scores"),
    ):
        [pair async for pair in replay(reader, method)]


def run_until(folder: Path, count: int, calls: Path, finished: int | None) -> bool:
    """Run in a process of its own; killed once so many problems are finished. True: it ended."""
    arguments = [sys.executable, "-m", "tests.resumed_run", str(folder), str(count), str(calls)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        while finished is not None and child.poll() is None:
            if (folder / "run.sqlite").exists() and count_finished(folder) >= finished:
                time.sleep(0.05)  # into the middle of the next ones
                child.kill()
                break
            time.sleep(0.02)
        output, _ = child.communicate(timeout=300)
    finally:
        child.kill()
    return "done" in output


def count_finished(folder: Path) -> int:
    try:
        with RunReader(folder) as reader:
            return len(reader.finished())
    except Exception:  # noqa: BLE001  the child is just making the file
        return 0


def recorded_seeds(folder: Path, count: int) -> set[int]:
    """Seeds of the samples that the call log holds."""
    with RunReader(folder) as reader:
        return {
            seed_of(0, key.problem_id, key.path)
            for example in examples(count)
            for key in reader.log.load(example.problem.id)
            if key.kind == "sample"
        }


def seeds_called(calls: Path) -> list[int]:
    return [int(line) for line in calls.read_text().split()] if calls.exists() else []


class Kills(NamedTuple):
    """What a run that was killed many times did, beside one that was not."""

    again: int
    """Calls that were made more than once."""
    in_flight: int
    """Calls that had begun and were not recorded when the run was killed."""
    recorded_again: set[int]
    """Seeds that were recorded and called all the same."""
    digests: list[dict[str, str]]
    """Of the killed run and of the other."""


def kills(tmp_path: Path, problems: int, times: int) -> Kills:
    calls = tmp_path / "calls"
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    in_flight, recorded_again = 0, set[int]()
    for kill in range(times):
        before = len(seeds_called(calls))
        known = recorded_seeds(killed, problems) if kill else set()
        assert not run_until(killed, problems, calls, (kill + 1) * problems // (times + 1))
        made = set(seeds_called(calls)[before:])
        recorded_again |= known & made
        in_flight += len(made - recorded_seeds(killed, problems))
    assert run_until(killed, problems, calls, None)
    assert run_until(whole, problems, tmp_path / "undisturbed", None)
    again = sum(count - 1 for count in Counter(seeds_called(calls)).values())
    with RunReader(killed) as first, RunReader(whole) as second:
        return Kills(again, in_flight, recorded_again, [first.digests(), second.digests()])


@pytest.mark.parametrize(
    ("problems", "times"), [(10, 3), pytest.param(50, 20, marks=pytest.mark.long)]
)
def test_a_killed_run_resumes_to_the_same_traces(tmp_path: Path, problems: int, times: int) -> None:
    made = kills(tmp_path, problems, times)
    assert made.recorded_again == set()
    assert 0 < made.again <= made.in_flight
    killed, whole = made.digests
    assert killed == whole
    assert len(killed) == problems


async def test_a_problem_keeps_its_own_budget(tmp_path: Path) -> None:
    from ponder.budget import Budget

    world = World()
    plain = world.method(RepeatedSampling(n=4))
    method = Method(
        plain.strategy,
        plain.engine,
        plain.verifiers,
        plain.answers,
        budget=lambda name: Budget(generations=1 + int(name[1:])),
    )
    with opened(tmp_path, 3) as store:
        await run([Job(e.problem, method, store) for e in store.examples()], Slots(8))
        assert [len(trace.nodes) for trace in store.traces()] == [1, 2, 3]


def test_unfinished_keeps_the_order(tmp_path: Path) -> None:
    problems = [Problem.ask("b", "b"), Problem.ask("a", "a")]
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(problem, None) for problem in problems])
        assert unfinished(store, problems, 1) == problems
