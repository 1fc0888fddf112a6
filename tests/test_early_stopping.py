"""Less work for the same answer: what is not drawn, read or scored, and that it can be seen."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from ponder.budget import Budget
from ponder.engines.replay import ReplayEngine
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import StoreError, UsageError
from ponder.evals.measure import measure
from ponder.evals.outcomes import is_exchangeable
from ponder.runner import Job, Method, replay, run
from ponder.session import ProblemSession, SessionOptions, Slots
from ponder.store.base import CallKey, CallLog, CallRecord
from ponder.store.log import MemoryCallLog
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
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
    Sampling,
    ScoreFailure,
    StepScores,
)
from ponder.verifiers.replay import ReplayVerifier
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import (
    PROBLEM,
    LastBox,
    PlainAnswers,
    World,
    drawn,
    fails_sometimes,
    reasons,
    tasks_left,
)

STEPS = Sampling(separator="\n\n")


def agrees(prefix: Prefix, seed: int) -> str:
    """Right answers, mostly."""
    rng = drawn(prefix.key, seed)
    return f"So the answer is {rng.choice([7, 7, 7, 7, 7, 7, 1, 2])}."


SURE = ScriptedVerifier(lambda _p, texts: [0.9 if "7" in text else 0.2 for text in texts])


@pytest.mark.parametrize("selector", ["majority", "weighted"])
@pytest.mark.parametrize("wave", [0, 1, 3])
async def test_exact_stopping_keeps_the_answer_and_draws_less(selector: str, wave: int) -> None:
    saved = 0
    for seed in range(12):
        options = SessionOptions(seed=seed)
        worlds = [World(order, agrees, (SURE,), options=options) for order in (0, 3)]
        whole = await worlds[0].solve(RepeatedSampling(n=16, selector=selector))
        stopping = RepeatedSampling(n=16, selector=selector, stopping="exact", wave=wave)
        trace = await worlds[1].solve(stopping)
        assert trace.answer == whole.answer
        assert trace.savings.samples == 16 - worlds[1].engine.calls
        assert (trace.stopped == "settled") is (len(trace.nodes) < 16)
        if wave == 1:
            assert worlds[1].engine.calls == len(trace.nodes)
            assert trace.spent.wasted == 0
        saved += trace.savings.samples
    if wave:  # all at once, only what still waits for a slot is saved
        assert saved > 12


async def test_a_settled_trace_says_so_and_gives_no_curve() -> None:
    trace = await World(script=agrees).solve(RepeatedSampling(n=16, stopping="exact", wave=4))
    [settled] = [decision for decision in trace.decisions if decision.kind == "settled"]
    assert settled.reason == f"exact: {len(trace.nodes)} of 16 samples decide"
    assert settled.paths == (trace.nodes[-1].path,)
    assert not is_exchangeable(trace, None)
    assert RepeatedSampling(n=16).exchangeable
    assert not RepeatedSampling(n=16, stopping="exact").exchangeable


async def test_a_settled_run_is_reported_by_the_selector_that_it_settled() -> None:
    strategy = RepeatedSampling(n=16, stopping="exact", wave=4)
    problems = [Problem.ask("What is it?", f"p{number}") for number in range(6)]
    traces = [await World(script=agrees).solve(strategy, problem) for problem in problems]
    grades = {
        (trace.problem_id, candidate.path): candidate.answer == Answer("7", "7")
        for trace in traces
        for candidate in trace.candidates
    }
    examples = [Example(problem, "7") for problem in problems]
    measured = measure(examples, traces, ours=grades, n=16)
    assert {selector: list(points) for selector, points in measured.points.items()} == {
        "majority": [16]
    }
    whole = [await World(script=agrees).solve(RepeatedSampling(n=16), p) for p in problems]
    assert [trace.answer for trace in whole] == [trace.answer for trace in traces]


async def test_best_of_n_stops_at_a_score_of_one() -> None:
    perfect = ScriptedVerifier(lambda _p, texts: [float("7" in text) for text in texts])
    strategy = RepeatedSampling(n=16, selector="best_of_n", stopping="exact", wave=1)
    trace = await World(script=agrees, verifiers=(perfect,)).solve(strategy)
    assert trace.answer == "7"
    assert trace.nodes[-1].scores == {"scripted": (1.0,)}
    assert trace.chosen == trace.nodes[-1].path


async def test_the_window_that_agrees_gives_the_answer() -> None:
    """Five of 1, then of 7: the windows before the unanimous one do not vote."""

    def script(prefix: Prefix, seed: int) -> str:
        return f"The answer is {texts.pop(0)}."

    texts = ["1", "1", "1", "1", "2", "7", "7", "7", "7", "7", "1", "1", "1", "1", "1"]
    strategy = RepeatedSampling(n=15, stopping="early_stopping_self_consistency", wave=5)
    trace = await World(script=script).solve(strategy)
    assert trace.answer == "7"
    assert len(trace.nodes) == len(trace.candidates) == 10
    assert [candidate.votes for candidate in trace.candidates] == [False] * 5 + [True] * 5


async def test_the_last_window_gives_the_answer_too() -> None:
    """1 has six votes in all, 7 has five."""

    def script(prefix: Prefix, seed: int) -> str:
        return f"The answer is {texts.pop(0)}."

    texts = list("111121122277777")
    strategy = RepeatedSampling(n=15, stopping="early_stopping_self_consistency", wave=5)
    trace = await World(script=script).solve(strategy)
    assert trace.answer == "7"
    assert (len(trace.nodes), trace.savings.samples) == (15, 0)


async def test_a_sample_that_the_budget_cut_decides_nothing() -> None:
    """Two votes of four would: the second sample states the answer and goes on to the cut."""
    world = World(
        script=lambda _p, _s: "\\boxed{7}" + " so" * 24,
        options=SessionOptions(budget=Budget(generated_tokens=45)),
        answers=LastBox(),
    )
    trace = await world.solve(RepeatedSampling(n=4, stopping="exact", wave=1))
    assert [(node.tokens, node.cut) for node in trace.nodes] == [(25, False), (20, True)]
    assert (trace.stopped, trace.answer) == ("budget", "7")


async def test_samples_after_the_decision_are_waste() -> None:
    """The last to end decides, so all the others were there and those behind it do not count."""

    def script(prefix: Prefix, seed: int) -> str:
        return "The answer is 7."

    world = World(script=script)
    begun: list[int] = []

    def latency(prefix: Prefix, seed: int) -> float:
        begun.append(seed)
        return 0.05 if len(begun) == 1 else 0.0

    world.engine._latency = latency
    trace = await world.solve(RepeatedSampling(n=8, stopping="exact"))
    assert len(trace.nodes) == 4  # four of eight: the others can tie, and come later
    assert trace.spent.generated == 4 * 4
    assert trace.spent.wasted == 4 * 4
    assert trace.savings.samples == 0


async def test_samples_that_are_ended_midway_leave_no_task_and_an_unknown_waste() -> None:
    world = World(script=lambda _p, _s: "The answer is 7.", slots=8)
    begun: list[int] = []

    def latency(prefix: Prefix, seed: int) -> float:
        begun.append(seed)
        return 30.0 if len(begun) > 5 else 0.0

    world.engine._latency = latency
    before = tasks_left()
    trace = await asyncio.wait_for(world.solve(RepeatedSampling(n=8, stopping="exact")), 10)
    assert trace.spent.wasted is None
    assert (trace.savings.samples, trace.savings.midway) == (0, 3)
    assert world.engine.running == 0
    assert tasks_left() == before


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"stopping": "soon"}, "`stopping` must be one of none, exact"),
        ({"wave": -1}, "`wave` must be at least 0, got -1"),
        (
            {"stopping": "adaptive_consistency", "selector": "weighted"},
            "is a rule for majority votes, and the selector is 'weighted'",
        ),
    ],
)
def test_knobs_that_cannot_be_are_refused(strategy: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RepeatedSampling(n=4, **strategy)  # type: ignore[arg-type]


async def test_exact_stopping_by_scores_needs_scores_from_0_to_1() -> None:
    wide = ScriptedVerifier(lambda _p, texts: [5.0 for _ in texts], high=10.0)
    world = World(script=agrees, verifiers=(wide,))
    with pytest.raises(UsageError, match=r"needs scores from 0 to 1.*are from 0 to 10"):
        await world.solve(RepeatedSampling(n=4, selector="weighted", stopping="exact"))
    assert world.engine.calls == 0
    await world.solve(RepeatedSampling(n=4, stopping="exact"))


@pytest.mark.parametrize("wave", [0, 2])
async def test_a_replay_of_a_settled_run_gives_equal_digests(tmp_path: Path, wave: int) -> None:
    """What was ended midway is not in the log, and a replay needs none of it."""
    strategy = RepeatedSampling(n=16, selector="weighted", stopping="exact", wave=wave)
    world = World(2, fails_sometimes, (SURE,))
    problems = [Problem.ask("What is it?", f"p{number}") for number in range(8)]
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(problem, "7") for problem in problems])
        method = world.method(strategy)
        await run([Job(problem, method, store) for problem in problems], Slots(8))
    verifiers = [ReplayVerifier(SURE.info)]
    again = Method(strategy, ReplayEngine(world.engine.capabilities), verifiers, PlainAnswers())
    with RunReader(tmp_path) as reader:
        pairs = [pair async for pair in replay(reader, again)]
    assert [kept.digest() for kept, _ in pairs] == [new.digest() for _, new in pairs]
    assert len(pairs) == 8


class Counting:
    """A verifier that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.info = SURE.info

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        self.asked += [prefix.key for prefix in prefixes]
        return await SURE.score(problem, prefixes)

    async def aclose(self) -> None:
        pass


def repeats(prefix: Prefix, seed: int) -> str:
    """Two ways to begin and two to end, so that many beams are equal."""
    rng = drawn(prefix.key, seed)
    return f"{rng.choice('ab')}\n\n" if prefix.depth < 3 else f"The answer is {rng.choice('12')}."


class Calls(World):
    """Counts the engine's calls."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls: list[int] = []
        generate = self.engine.generate

        def counted(prefix: Prefix, sampling: Sampling, seeds: Sequence[int]) -> object:
            self.calls.append(len(seeds))
            return generate(prefix, sampling, seeds)

        self.engine.generate = counted  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    "strategy",
    [
        BeamSearch(n=16, beam_width=2, sampling=STEPS),
        DiverseVerifierTreeSearch(n=8, beam_width=2, sampling=STEPS),
    ],
    ids=lambda strategy: strategy.name,
)
async def test_equal_prefixes_are_drawn_from_together_and_scored_once(
    strategy: BeamSearch | DiverseVerifierTreeSearch,
) -> None:
    async def solved(share: bool, log: CallLog) -> tuple[Trace, Counting, list[int]]:
        counting = Counting()
        options = SessionOptions(share=share)
        world = Calls(script=repeats, verifiers=(counting,), slots=64, options=options, log=log)
        return await world.solve(strategy), counting, world.calls

    log = MemoryCallLog()
    trace, once, calls = await solved(share=True, log=MemoryCallLog())
    plain, again, more_calls = await solved(share=False, log=log)
    assert trace.digest() == plain.digest()
    assert sum(calls) == sum(more_calls) == len(trace.nodes)
    assert len(calls) < len(more_calls)
    assert trace.savings.prefixes > 0 == plain.savings.prefixes
    assert trace.savings.prompts == len(calls) - 1 > 0 == plain.savings.prompts  # one conversation
    assert len(set(once.asked)) == len(once.asked)
    assert trace.savings.scores == len(again.asked) - len(once.asked) > 0 == plain.savings.scores
    replayed, nobody, nothing = await solved(share=False, log=log)
    assert replayed.digest() == trace.digest()
    assert not nobody.asked
    assert not nothing


@pytest.mark.parametrize("share", [True, False])
async def test_equal_solutions_are_scored_once_while_the_first_is_being_scored(share: bool) -> None:
    class Slow(Counting):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            await asyncio.sleep(0.01)
            return await super().score(problem, prefixes)

    slow = Slow()
    options = SessionOptions(share=share)
    world = World(script=lambda _p, _s: "The answer is 7.", verifiers=(slow,), options=options)
    trace = await world.solve(RepeatedSampling(n=8))
    assert len(slow.asked) == (1 if share else 8)
    assert trace.savings.scores == 8 - len(slow.asked)


async def test_samples_that_wait_for_a_slot_alone_share_no_call() -> None:
    world = Calls(script=repeats, verifiers=(Counting(),), slots=1)
    trace = await world.solve(BeamSearch(n=16, beam_width=2, sampling=STEPS))
    assert set(world.calls) == {1}
    assert trace.savings.prefixes == 0


async def test_a_stream_that_is_closed_leaves_the_others_of_its_call_alone() -> None:
    world = World()
    world.engine._latency = lambda _prefix, _seed: 0.01
    slots = Slots(8)
    answers = PlainAnswers()
    async with ProblemSession(
        PROBLEM, world.engine, (), answers, MemoryCallLog(), slots
    ) as session:
        root = Prefix.root(PROBLEM)
        first = session.sample(root, [(0,), (1,)], Sampling())
        second = session.sample(root, [(2,)], Sampling())
        await asyncio.sleep(0.001)
        await first.aclose()
        assert [sample.path async for sample in second] == [(2,)]
        assert [sample async for sample in first] == []
    assert slots.free == 8


async def test_a_log_that_cannot_be_read_ends_the_search_with_its_error() -> None:
    class Broken(MemoryCallLog):
        def get(self, key: CallKey) -> CallRecord | None:
            raise StoreError("run.sqlite: disk I/O error")

    with pytest.raises(StoreError, match="disk I/O error"):
        await asyncio.wait_for(World(log=Broken()).solve(RepeatedSampling(n=4)), 10)


async def test_a_call_that_is_ended_before_it_begins_gives_its_slots_back() -> None:
    """Its task is made, and cancelled before its first step."""
    world, slots = World(), Slots(8)
    kinds = PlainAnswers()
    async with ProblemSession(PROBLEM, world.engine, (), kinds, MemoryCallLog(), slots) as session:
        samples = session.sample(Prefix.root(PROBLEM), [(0,), (1,)], Sampling())
        await asyncio.sleep(0)  # the grant, which finds slots free
        assert slots.free == 6
        await samples.aclose()
    assert slots.free == 8
    assert world.engine.calls == 0


class Noting(Counting):
    """Notes of each call how many prefixes it holds and how many samples had ended by then."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.ended_before: list[int] = []
        self.begun: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """By the number of a call."""
        self.may_answer = asyncio.Event()
        self._ended = 0

    def script(self, _prefix: Prefix, seed: int) -> str:
        """Solutions that differ."""
        self._ended += 1
        return f"{seed}. The answer is 7."

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        self.sizes.append(len(prefixes))
        self.ended_before.append(self._ended)
        self.begun[len(self.sizes)].set()
        await self.may_answer.wait()
        return await SURE.score(problem, prefixes)


STEPWISE = (
    BeamSearch(n=4, beam_width=4, max_iterations=1, sampling=STEPS),
    DiverseVerifierTreeSearch(n=4, beam_width=4, max_iterations=1, sampling=STEPS),
)


@pytest.mark.parametrize("strategy", STEPWISE, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("early", [True, False])
async def test_siblings_of_a_straggler_are_scored_while_it_is_drawn(
    strategy: BeamSearch | DiverseVerifierTreeSearch, early: bool
) -> None:
    """One call at a time: the second holds what ended during the first."""
    verifier = Noting()
    options = SessionOptions(early=early)
    world = World(script=verifier.script, verifiers=(verifier,), options=options)
    draw = world.engine.generate

    async def paced(
        prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        first, *others, last = [completion async for completion in draw(prefix, sampling, seeds)]
        yield first
        if early:
            await asyncio.wait_for(verifier.begun[1].wait(), 60)
        for completion in others:
            yield completion
        for _ in range(100):  # until they are read
            await asyncio.sleep(0)
        verifier.may_answer.set()
        if early:
            await asyncio.wait_for(verifier.begun[2].wait(), 60)
        yield last

    world.engine.generate = paced  # type: ignore[method-assign]
    trace = await world.solve(strategy)
    assert verifier.sizes == ([1, 2, 1] if early else [4])
    assert [node.scores["scripted"] for node in trace.nodes] == [(0.9,)] * 4
    assert trace.savings.scores == 0


async def test_siblings_are_scored_together_while_others_want_the_slots() -> None:
    verifier = Noting()
    verifier.may_answer.set()
    world = World(script=verifier.script, verifiers=(verifier,), slots=2)
    world.engine._latency = lambda _prefix, _seed: 0.002
    await world.solve(BeamSearch(n=8, beam_width=8, max_iterations=1, sampling=STEPS))
    assert verifier.ended_before[0] >= 7, "the last two leave slots free"
    assert sum(verifier.sizes) == 8


async def test_equal_siblings_that_are_scored_early_are_shared() -> None:
    verifier = Counting()
    waits = iter((0.0, 0.005, 0.01, 0.05))
    world = World(script=lambda _p, _s: "The answer is 7.", verifiers=(verifier,))
    world.engine._latency = lambda _prefix, _seed: next(waits)
    trace = await world.solve(STEPWISE[0])
    assert len(verifier.asked) == 1
    assert trace.savings.scores == 3


async def test_a_slow_verifier_bounds_what_waits_and_starves_nobody(tmp_path: Path) -> None:
    """40 problems of 4 samples on 4 slots: the first ends before the last is asked about."""
    waiting, most = 0, 0
    begun: list[str] = []
    ended: list[str] = []

    class Slow(Counting):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            nonlocal waiting, most
            waiting += len(prefixes)
            most = max(most, waiting)
            async with one_at_a_time:
                await asyncio.sleep(0.002)
            waiting -= len(prefixes)
            return await SURE.score(problem, prefixes)

    class Watch:
        def on_node(self, problem_id: str, node: object) -> None:
            if problem_id not in begun:
                begun.append(problem_id)

        def on_decision(self, problem_id: str, decision: object) -> None:
            pass

        def on_problem_done(self, problem_id: str, trace: Trace) -> None:
            ended.append(problem_id)
            begun_at_end.append(len(begun))

    one_at_a_time = asyncio.Lock()
    begun_at_end: list[int] = []
    world = World(script=lambda _p, seed: f"{seed}. The answer is 7.", verifiers=(Slow(),))
    problems = [Problem.ask("What is it?", f"p{number:02}") for number in range(40)]
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(problem, "7") for problem in problems])
        method = world.method(RepeatedSampling(n=4, selector="weighted"))
        await run([Job(p, method, store, Watch()) for p in problems], Slots(4))
    assert len(ended) == 40
    assert most <= 4 * 4 + 4 + 4  # the backlog, the problem that was being opened, the slots
    assert begun_at_end[0] < 40


async def test_the_engine_draws_for_others_while_a_search_waits_for_its_scores(
    tmp_path: Path,
) -> None:
    """In lock-step it would rest whenever something is scored."""
    drawing: list[bool] = []

    class Slow(Counting):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            await asyncio.sleep(0.004)
            drawing.append(world.engine.running > 0)
            return await SURE.score(problem, prefixes)

    world = World(script=reasons, verifiers=(Slow(),), slots=4)
    world.engine = ScriptedEngine(reasons, latency=lambda _prefix, _seed: 0.004, slots=4)
    problems = [Problem.ask("What is it?", f"p{number:02}") for number in range(24)]
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(problem, "7") for problem in problems])
        method = world.method(BeamSearch(4, sampling=Sampling(separator="\n\n")))
        await run([Job(problem, method, store) for problem in problems], Slots(4))
    steady = drawing[: len(drawing) * 3 // 4]  # at the end nothing is left to draw
    assert len(steady) > 24
    assert sum(steady) > 0.8 * len(steady)
