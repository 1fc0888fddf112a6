"""The session: what counts, what is logged, what happens to failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import cast

import pytest

from ponder.budget import Budget
from ponder.engines.scripted import Reply
from ponder.errors import EngineError, UnsupportedError, VerifierError
from ponder.runner import solve
from ponder.session import Finish, ProblemSession, Session, SessionOptions, Slots
from ponder.session.calls import (
    pack_completion,
    pack_scores,
    seed_of,
    unpack_completion,
    unpack_scores,
)
from ponder.store.base import CallRecord
from ponder.store.log import MemoryCallLog
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Decision, Node, Trace
from ponder.types import (
    Completion,
    Prefix,
    Problem,
    Sample,
    Sampling,
    ScoreFailure,
    Step,
    StepScores,
    Usage,
)
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import PROBLEM, World, judged, reasons

ROOT = Prefix.root(PROBLEM)


def session_of(world: World) -> ProblemSession:
    return ProblemSession(
        PROBLEM,
        world.engine,
        world.verifiers,
        world.answers,
        world.log,
        Slots(world.slots),
        world.options,
        world.observer,
    )


async def drain(session: Session, count: int, sampling: Sampling | None = None) -> list[Sample]:
    paths = [(i,) for i in range(count)]
    return [s async for s in session.sample(ROOT, paths, sampling or Sampling())]


async def end(session: Session, samples: Sequence[Sample]) -> Trace:
    return await session.finish(Finish("test", len(samples), samples))


async def test_samples_grow_the_prefix_by_steps() -> None:
    world = World(script=lambda _p, _s: "one two\n\nthree\n\nfour")
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
    assert [step.text for step in sample.prefix.steps] == ["one two\n\n", "three\n\n", "four"]
    ids = sample.completion.token_ids
    assert ids == tuple(i for step in sample.prefix.steps for i in step.token_ids or ())
    assert sample.prefix.steps[0].logprobs == (-0.5, -0.5)


async def test_equal_prefixes_are_scored_once_and_billed_once() -> None:
    asked: list[str] = []

    def script(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        asked.append(texts[-1])
        return judged(problem, texts)

    verifier = ScriptedVerifier(script, tokens=7)
    world = World(script=lambda _p, _s: "The answer is 1.", verifiers=(verifier,))
    trace = await world.solve(RepeatedSampling(n=5))
    assert len(asked) == 1
    assert (trace.savings.scores, trace.savings.samples, trace.savings.midway) == (4, 0, 0)
    assert [node.verifier_tokens for node in trace.nodes] == [7, 0, 0, 0, 0]
    assert all(node.scores["scripted"] is not None for node in trace.nodes)
    assert trace.spent.verifier == 7


async def test_every_verifier_scores_and_the_first_one_guides() -> None:
    other = ScriptedVerifier(lambda _p, texts: (0.25,) * len(texts), name="other", tokens=None)
    world = World(verifiers=(ScriptedVerifier(judged), other))
    async with session_of(world) as session:
        samples = await drain(session, 2)
        scores = await session.score([sample.prefix for sample in samples])
        trace = await end(session, samples)
    assert [cast(StepScores, s).scores for s in scores] == [
        node.scores["scripted"] for node in trace.nodes
    ]
    assert {x for c in trace.candidates for x in c.scores["other"] or ()} == {0.25}
    assert trace.spent.verifier is None  # one of them does not tell


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((0.5, 0.5), "gave 2 scores, 1 were wanted"),
        ((1.5,), "gave 1.5, outside 0.0 to 1.0"),
        ((float("nan"),), "gave nan, outside"),
    ],
)
async def test_a_wrong_answer_of_a_verifier_is_a_failure(
    given: tuple[float, ...], reason: str
) -> None:
    verifier = ScriptedVerifier(lambda _p, _t: given)
    world = World(script=lambda _p, _s: "x", verifiers=(verifier,))
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
        (scores,) = await session.score([sample.prefix])
        trace = await end(session, [sample])
    assert isinstance(scores, ScoreFailure)
    assert reason in scores.reason
    assert trace.nodes[0].scores == {"scripted": None}


async def test_what_a_verifier_raises_is_a_failure_of_each_item() -> None:
    def script(_problem: Problem, _texts: tuple[str, ...]) -> tuple[float, ...]:
        raise VerifierError("the model is gone")

    world = World(verifiers=(ScriptedVerifier(script),))
    async with session_of(world) as session:
        samples = await drain(session, 2)
        scores = await session.score([sample.prefix for sample in samples])
    assert scores == [ScoreFailure("the model is gone")] * 2


async def test_an_error_without_words_is_called_by_its_kind() -> None:
    def script(_problem: Problem, _texts: tuple[str, ...]) -> tuple[float, ...]:
        raise ConnectionResetError

    async with session_of(World(verifiers=(ScriptedVerifier(script),))) as session:
        (sample,) = await drain(session, 1)
        assert await session.score([sample.prefix]) == [ScoreFailure("ConnectionResetError")]


@pytest.mark.parametrize("score", [0.0, 1.0])
async def test_a_solution_has_one_score_and_the_ends_of_the_range_are_in_it(score: float) -> None:
    class Whole(ShortVerifier):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            return [StepScores((score,)) for _ in prefixes]

    world = World(script=lambda _p, _s: "one\n\ntwo", verifiers=(Whole(),))
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
        (scores,) = await session.score([sample.prefix])
        trace = await end(session, [sample])
    assert sample.prefix.depth == 2
    assert isinstance(scores, StepScores)
    assert scores.scores == (score,)
    assert trace.nodes[0].token_ids == sample.completion.token_ids


async def test_a_prefix_that_makes_a_call_fail_fails_alone() -> None:
    asked: list[int] = []

    class Picky(ShortVerifier):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            asked.append(len(prefixes))
            if any("bad" in prefix.text for prefix in prefixes):
                raise VerifierError("cannot read this")
            return [StepScores((0.5,)) for _ in prefixes]

    texts = iter(("good", "bad", "fine"))
    world = World(script=lambda _p, _s: next(texts), verifiers=(Picky(),))
    async with session_of(world) as session:
        samples = await drain(session, 3)
        scores = await session.score([sample.prefix for sample in samples])
    assert [isinstance(one, StepScores) for one in scores] == [True, False, True]
    assert scores[1] == ScoreFailure("cannot read this")
    assert asked == [3, 1, 1, 1]


class ShortVerifier:
    info = VerifierInfo("short", "short", "solution", 0, 1, "value")

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        return [StepScores((0.5,)) for _ in prefixes[1:]]

    async def aclose(self) -> None:
        pass


class MiscountingVerifier(ShortVerifier):
    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        return [StepScores((0.5,), (9, 9, 9)) for _ in prefixes]


async def test_tokens_are_told_of_the_question_and_each_step() -> None:
    async with session_of(World(verifiers=(MiscountingVerifier(),))) as session:
        samples = await drain(session, 1)
        scores = await session.score([sample.prefix for sample in samples])
    assert scores == [
        ScoreFailure("short told the tokens of 3 parts, the question and 1 steps were wanted")
    ]


async def test_a_verifier_that_answers_too_few_fails_all() -> None:
    world = World(verifiers=(ShortVerifier(),))
    async with session_of(world) as session:
        samples = await drain(session, 3)
        scores = await session.score([sample.prefix for sample in samples])
    assert {s.reason for s in scores if isinstance(s, ScoreFailure)} == {
        "short gave 2 scores for 3 prefixes"
    }


async def test_scoring_without_a_verifier_says_so() -> None:
    async with session_of(World(verifiers=())) as session:
        with pytest.raises(VerifierError, match="no verifier is given"):
            await session.score([ROOT])


def slow_at_first(count: int) -> tuple[ScriptedVerifier, list[Prefix]]:
    """A verifier that takes 30 s for its first prefixes, and all that it is asked for."""
    asked: list[Prefix] = []

    def latency(prefix: Prefix) -> float:
        asked.append(prefix)
        return 30.0 if len(asked) <= count else 0.0

    return ScriptedVerifier(judged, latency=latency), asked


async def test_a_cancelled_scoring_is_asked_again() -> None:
    verifier, calls = slow_at_first(1)
    world = World(verifiers=(verifier,))
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
        task = asyncio.create_task(session.score([sample.prefix]))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        (scores,) = await session.score([sample.prefix])
    assert isinstance(scores, StepScores)
    assert len(calls) == 2


async def test_a_cancelled_reader_leaves_a_shared_score_to_the_others() -> None:
    world = World(verifiers=(ScriptedVerifier(judged, latency=lambda _prefix: 0.02),))
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
        first, second = (asyncio.create_task(session.score([sample.prefix])) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        assert second.cancelled()
        (scores,) = await first
    assert isinstance(scores, StepScores)


async def test_a_score_is_asked_for_again_when_the_reader_that_asked_is_cancelled() -> None:
    verifier, calls = slow_at_first(1)
    world = World(verifiers=(verifier,))
    async with session_of(world) as session:
        (sample,) = await drain(session, 1)
        first, second = (asyncio.create_task(session.score([sample.prefix])) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        (scores,) = await second
        trace = await end(session, [sample])
    assert isinstance(scores, StepScores)
    assert len(calls) == 2
    assert trace.savings.scores == 0


async def test_scores_are_asked_for_again_when_all_who_asked_are_cancelled() -> None:
    verifier, calls = slow_at_first(2)
    world = World(script=lambda _p, seed: f"The answer is {seed}.", verifiers=(verifier,))
    async with session_of(world) as session:
        prefixes = [sample.prefix for sample in await drain(session, 2)]
        owners = [asyncio.create_task(session.score([prefix])) for prefix in prefixes]
        await asyncio.sleep(0)
        reader = asyncio.create_task(session.score(prefixes))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for owner in owners:
            owner.cancel()
        scores = await asyncio.wait_for(reader, 20)
    assert all(isinstance(one, StepScores) for one in scores)
    assert len(calls) == 4


async def test_what_was_drawn_and_not_given_to_the_strategy_is_waste() -> None:
    world = World(script=lambda _p, _s: "a b c")
    async with session_of(world) as session:
        stream = session.sample(ROOT, [(i,) for i in range(4)], Sampling())
        async with aclosing(cast("AsyncGenerator[Sample, None]", stream)) as samples:
            first = await anext(samples)
        trace = await end(session, [first])
    assert len(trace.nodes) == 1
    assert trace.spent.generated == 3
    assert (trace.spent.wasted, trace.spent.calls) == (9, 4)


async def test_a_closed_stream_starts_nothing_more() -> None:
    world = World(slots=1)
    async with session_of(world) as session:
        stream = session.sample(ROOT, [(i,) for i in range(4)], Sampling())
        await cast("AsyncGenerator[Sample, None]", stream).aclose()
        await asyncio.sleep(0.01)
        assert [s async for s in stream] == []
    assert world.engine.calls == 0


async def test_leaving_at_once_starts_nothing() -> None:
    world = World()
    async with session_of(world) as session:
        session.sample(ROOT, [(0,)], Sampling())
    await asyncio.sleep(0.01)
    assert world.engine.calls == 0


async def test_an_engine_that_forgets_a_sample_is_recorded() -> None:
    def script(prefix: Prefix, seed: int) -> str | Reply:
        return Reply("", drops=True) if seed % 2 else reasons(prefix, seed)

    trace = await World(script=script).solve(RepeatedSampling(n=8))
    errors = {node.error for node in trace.nodes if node.error}
    assert errors == {"the engine ended without this sample"}
    assert len(trace.nodes) == 8


async def test_an_engine_error_fails_the_samples_of_the_call() -> None:
    def script(_prefix: Prefix, _seed: int) -> str:
        return "x"

    world = World(script=script)

    async def broken(
        _prefix: Prefix, _sampling: Sampling, _seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        yield Completion(1, "x", "eos", Usage(generated=1))
        raise EngineError("the child process ended")

    world.engine.generate = broken  # type: ignore[method-assign, assignment]
    trace = await world.solve(RepeatedSampling(n=3))
    assert [node.error for node in trace.nodes] == [
        "the child process ended",
        None,
        "the child process ended",
    ]


async def test_a_bug_propagates() -> None:
    def script(_prefix: Prefix, _seed: int) -> str:
        raise AttributeError("typo")

    world = World()
    world.engine.generate = script  # type: ignore[method-assign, assignment]
    with pytest.raises(BaseExceptionGroup):
        await asyncio.wait_for(world.solve(RepeatedSampling(n=2)), 5)


async def test_steps_are_refused_for_an_engine_that_cannot_continue() -> None:
    world = World(continues=False)
    with pytest.raises(UnsupportedError, match="cannot go on with a partial answer"):
        await world.solve(BeamSearch(sampling=Sampling(separator="\n\n")))
    trace = await world.solve(RepeatedSampling(n=2))
    assert trace.answer is not None


async def test_what_an_engine_does_not_tell_is_none() -> None:
    world = World(counts_tokens=False)
    trace = await world.solve(RepeatedSampling(n=2))
    assert trace.spent.generated is None
    assert trace.spent.prompt is None
    assert trace.spent.flops is None
    assert trace.candidates[0].tokens is None


async def test_untold_tokens_use_up_their_whole_grant() -> None:
    options = SessionOptions(budget=Budget(generated_tokens=100))
    world = World(counts_tokens=False, options=options)
    async with session_of(world) as session:
        samples = await drain(session, 4, Sampling(max_tokens=40))
        assert session.exhausted
    assert len(samples) == 3


async def test_a_budget_of_all_tokens_pays_for_the_verifier() -> None:
    """What scoring a depth cost counts before everything deeper."""

    async def solved(tokens: int) -> Trace:
        options = SessionOptions(budget=Budget(total_tokens=600))
        world = World(verifiers=(ScriptedVerifier(judged, tokens=tokens),), options=options)
        return await world.solve(BeamSearch(8, sampling=Sampling(separator="\n\n")))

    free, dear = await solved(0), await solved(100)
    assert free.spent.verifier == 0
    assert dear.stopped == "budget"
    assert dear.spent.verifier == 100 * len({node.text for node in dear.nodes if not node.parent})
    assert max(len(node.path) for node in dear.nodes) == 1
    assert max(len(node.path) for node in free.nodes) > 1


async def test_only_a_sample_that_the_budget_cut_is_cut_and_named_by_its_own_limit() -> None:
    """One that reaches the limit that was asked for is whole; the log tells the two apart."""
    log = MemoryCallLog()

    async def solved(budget: Budget) -> Trace:
        world = World(
            script=lambda _p, _s: "so " * 100, log=log, options=SessionOptions(budget=budget)
        )
        return await world.solve(RepeatedSampling(n=1, sampling=Sampling(max_tokens=40)))

    whole, cut = await solved(Budget()), await solved(Budget(generated_tokens=30))
    assert [(node.tokens, node.ended, node.cut) for node in (*whole.nodes, *cut.nodes)] == [
        (40, "length", False),
        (30, "length", True),
    ]
    assert [trace.candidates[0].votes for trace in (whole, cut)] == [True, False]
    assert (await solved(Budget())).digest() == whole.digest()
    assert len({key.request for key in log.load(PROBLEM.id) if key.kind == "sample"}) == 2


async def test_what_was_set_aside_for_a_prompt_is_given_back_when_its_tokens_are_told() -> None:
    """Three tokens, where a token a byte and what a template may add were set aside."""
    world = World(
        script=lambda _p, _s: "so " * 100,
        options=SessionOptions(budget=Budget(total_tokens=3 + 4 * 40)),
        slots=1,
    )
    trace = await world.solve(RepeatedSampling(n=6, sampling=Sampling(max_tokens=40)))
    assert [node.tokens for node in trace.nodes] == [40] * 4
    assert trace.stopped == "budget"


async def test_a_failed_sample_uses_up_nothing() -> None:
    options = SessionOptions(budget=Budget(generated_tokens=100))
    world = World(script=lambda _p, _s: Reply("", error="busy"), options=options)
    async with session_of(world) as session:
        samples = await drain(session, 6, Sampling(max_tokens=40))
        assert not session.exhausted
    assert len(samples) == world.engine.calls == 6


async def test_a_budget_of_all_tokens_pays_for_the_waves_before() -> None:
    strategy = RepeatedSampling(n=16, selector="weighted", stopping="exact", wave=4)
    world = World(
        script=lambda _prefix, seed: f"{seed}. The answer is {seed}.",
        verifiers=(ScriptedVerifier(judged, tokens=100),),
        options=SessionOptions(budget=Budget(total_tokens=800)),
    )
    trace = await world.solve(strategy)
    assert trace.stopped == "budget"
    assert [node.verifier_tokens for node in trace.nodes] == [100] * 8


@pytest.mark.parametrize("wave", [0, 2])
async def test_the_deadline_refuses_and_the_trace_says_so(wave: int) -> None:
    now = [100.0]
    options = SessionOptions(budget=Budget(seconds=10), clock=lambda: now[0])
    world = World(options=options, slots=2)

    def script(prefix: Prefix, seed: int) -> str:
        now[0] += 4
        return reasons(prefix, seed)

    world.engine._script = script
    trace = await world.solve(RepeatedSampling(9, "exact" if wave else "none", wave))
    assert 2 <= len(trace.nodes) < 9
    assert trace.stopped == "deadline"
    assert trace.spent.seconds == now[0] - 100


async def test_a_late_refusal_uses_up_nothing_and_what_is_recorded_still_counts() -> None:
    now = [0.0]
    budget = Budget(generated_tokens=60, seconds=10)
    options = SessionOptions(budget=budget, clock=lambda: now[0])
    replies = [Reply("", error="busy"), Reply("The answer is 1.")]
    world = World(script=lambda _p, _s: replies.pop(0), options=options)
    async with session_of(world) as session:
        assert len(await drain(session, 2, Sampling(max_tokens=60))) == 2
    again = World(log=world.log, options=options)
    async with session_of(again) as session:
        now[0] += 10
        samples = await drain(session, 2, Sampling(max_tokens=60))
        trace = await end(session, samples)
    assert [sample.path for sample in samples] == [(1,)]
    assert trace.stopped == "deadline"
    assert again.engine.calls == 0


async def test_flops_follow_from_the_parameter_count() -> None:
    world = World(script=lambda _p, _s: "a b c")
    world.engine.capabilities = world.engine.capabilities._replace(parameters=10)
    trace = await world.solve(RepeatedSampling(n=1))
    assert trace.spent.flops == 2 * 10 * (3 + 3)  # three words asked, three said


class Watch:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.decisions: list[Decision] = []

    def on_node(self, problem_id: str, node: Node) -> None:
        assert problem_id == PROBLEM.id
        self.nodes.append(node)

    def on_decision(self, problem_id: str, decision: Decision) -> None:
        assert problem_id == PROBLEM.id
        self.decisions.append(decision)


async def test_an_observer_sees_nodes_scores_and_decisions() -> None:
    watch = Watch()
    trace = await World(observer=watch).solve(
        BeamSearch(n=4, beam_width=2, sampling=Sampling(separator="\n\n"))
    )
    assert {node.path for node in watch.nodes} == {node.path for node in trace.nodes}
    last = {node.path: node.scores for node in watch.nodes}
    assert all(last[node.path] == node.scores for node in trace.nodes)
    assert sorted(map(str, watch.decisions)) == sorted(map(str, trace.decisions))


async def test_a_resumed_problem_tries_failures_again() -> None:
    world = World(script=lambda _p, _s: Reply("", error="busy"))
    await world.solve(RepeatedSampling(n=3))
    again = World(log=world.log)
    trace = await again.solve(RepeatedSampling(n=3))
    assert again.engine.calls == 3
    assert not any(node.error for node in trace.nodes)


async def test_a_failed_score_is_asked_again_by_a_resumed_problem() -> None:
    world = World(verifiers=(ScriptedVerifier(lambda _p, _t: ScoreFailure("down")),))
    await world.solve(RepeatedSampling(n=2))
    again = World(log=world.log)
    trace = await again.solve(RepeatedSampling(n=2))
    assert again.engine.calls == 0
    assert all(node.scores["scripted"] for node in trace.nodes)


async def test_recorded_calls_are_not_made_again_and_new_ones_are() -> None:
    world = World()
    await world.solve(RepeatedSampling(n=3))
    again = World(log=world.log)
    trace = await again.solve(RepeatedSampling(n=5))
    assert again.engine.calls == 2
    assert trace.digest() == (await World().solve(RepeatedSampling(n=5))).digest()


def test_seeds_depend_on_the_path_alone_and_are_not_consecutive() -> None:
    seeds = [seed_of(0, "p", (i,)) for i in range(2000)]
    assert len(set(seeds)) == 2000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert all(abs(a - b) > 1 for a, b in pairwise(seeds))
    assert seed_of(0, "p", (1, 2)) == seed_of(0, "p", (1, 2))
    assert len({seed_of(0, "p", (1,)), seed_of(1, "p", (1,)), seed_of(0, "q", (1,))}) == 3


def test_calls_survive_the_log() -> None:
    completion = Completion(
        3, "a\u2028b", "length", Usage(1, None, 2), (1, 2), "tok", (-0.1, -1e-9), (1, 3), "hm"
    )
    assert unpack_completion(pack_completion(completion), 3) == completion
    failed = Completion(0, "part", "aborted", error="lost")
    assert pack_completion(failed).failed
    assert unpack_completion(pack_completion(failed), 0) == failed
    told, untold = StepScores((0.1, 1 / 3), (5, 2, 3)), StepScores((0.5,), None)
    for scores in (told, untold, ScoreFailure("why")):
        assert unpack_scores(pack_scores(scores)) == scores
    assert isinstance(pack_scores(ScoreFailure("why")), CallRecord)


async def test_budgets_bind_across_forked_parts() -> None:
    options = SessionOptions(budget=Budget(generations=3))
    async with session_of(World(options=options)) as session:
        first, second = session.fork(2, 2, Sampling())
        with first as one, second as two:
            assert one.verifiers == two.verifiers == session.verifiers
            assert one.answers is session.answers
            streams = [
                one.sample(ROOT, [(0,), (1,)], Sampling()),
                two.sample(ROOT, [(2,), (3,)], Sampling()),
            ]
            samples = [sample for stream in streams async for sample in stream]
            assert two.exhausted
    assert [sample.path for sample in samples] == [(0,), (1,), (2,)]


async def test_rank_orders_problems() -> None:
    """With one slot, the older problem's samples all come first."""
    order: list[str] = []

    def script(prefix: Prefix, seed: int) -> str:
        order.append(prefix.problem.id)
        return reasons(prefix, seed)

    world, slots = World(script=script), Slots(1)
    young, old = Problem.ask("young", "young"), Problem.ask("old", "old")
    method = world.method(RepeatedSampling(n=3))
    async with asyncio.TaskGroup() as group:
        group.create_task(solve(young, method, world.log, slots, rank=2))
        group.create_task(solve(old, method, world.log, slots, rank=1))
    assert order.count("old") == 3
    assert order.index("young") == 0  # it came first and had the slot
    assert order[1:4] == ["old"] * 3


async def test_steps_of_another_tokenizer_are_kept_as_they_are() -> None:
    world = World(script=lambda _p, _s: "The answer is 2.")
    prefix = ROOT.grow(Step("by hand\n\n"))
    async with session_of(world) as session:
        (sample,) = [s async for s in session.sample(prefix, [(0, 0)], Sampling())]
    assert sample.parent == (0,)
    assert sample.prefix.text == "by hand\n\nThe answer is 2."
