"""Self-refinement: rounds, acceptance, guidance by a verifier."""

from __future__ import annotations

import pytest

from ponder.budget import Budget
from ponder.errors import UsageError
from ponder.evals.refinement import changes
from ponder.session import SessionOptions
from ponder.strategies import SelfRefine
from ponder.types import Prefix, Problem, Sampling, ScoreFailure
from ponder.verifiers.scripted import ScriptedVerifier
from tests.contracts.strategy_contract import CONTRACT, Check
from tests.playing import PROBLEM, World, drawn

REFINES = (
    SelfRefine(n=2, rounds=2),
    SelfRefine(n=3, rounds=1, guided=True, threshold=0.7),
    SelfRefine(n=1, rounds=0),
)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("strategy", REFINES, ids=lambda s: f"{s.n}-{s.rounds}-{s.guided}")
async def test_contract(strategy: SelfRefine, check: Check) -> None:
    await check(strategy)


def asked(prefix: Prefix) -> str:
    return prefix.messages[-1].content


def never_content(prefix: Prefix, seed: int) -> str:
    """Feedback that always finds something; answers that count up."""
    if "Look at your solution" in asked(prefix):
        return "The sum is wrong."
    return f"The answer is {len(prefix.messages) // 2}."


async def test_a_chain_has_one_plus_two_rounds_generations() -> None:
    trace = await World(script=never_content, verifiers=()).solve(SelfRefine(rounds=2))
    assert [node.path for node in trace.nodes] == [(0,), (0, 0), (0,) * 3, (0,) * 4, (0,) * 5]
    assert [c.path for c in trace.candidates] == [(0,), (0,) * 3, (0,) * 5]
    assert [c.votes for c in trace.candidates] == [False, False, True]
    assert trace.answer == "4"


async def test_a_refinement_sees_all_that_was_said() -> None:
    seen: list[list[str]] = []

    def script(prefix: Prefix, seed: int) -> str:
        seen.append([message.content for message in prefix.messages])
        return never_content(prefix, seed)

    await World(script=script, verifiers=()).solve(SelfRefine(rounds=2))
    last = seen[-1]
    assert last[0] == PROBLEM.messages[0].content
    assert last[1::2] == [
        "The answer is 0.",
        "The sum is wrong.",
        "The answer is 2.",
        "The sum is wrong.",
    ]


async def test_feedback_that_accepts_ends_the_chain() -> None:
    def script(prefix: Prefix, _seed: int) -> str:
        if "Look at your solution" in asked(prefix):
            return "Fine: The Solution is CORRECT."
        return "The answer is 1."

    trace = await World(script=script, verifiers=()).solve(SelfRefine(n=3, rounds=4))
    assert len(trace.nodes) == 6
    assert [d.kind for d in trace.decisions].count("accepted") == 3
    assert all(candidate.votes for candidate in trace.candidates)


async def test_a_refinement_that_the_budget_cut_replaces_nothing() -> None:
    def script(prefix: Prefix, seed: int) -> str:
        return f"{'so ' * 20}{never_content(prefix, seed)}"

    options = SessionOptions(budget=Budget(generated_tokens=70))
    trace = await World(script=script, verifiers=(), options=options).solve(SelfRefine(rounds=2))
    assert [node.cut for node in trace.nodes] == [False, False, True]
    assert [(c.path, c.votes) for c in trace.candidates] == [((0,), True), ((0, 0, 0), False)]
    assert trace.answer == "0"
    right = dict.fromkeys([(trace.problem_id, c.path) for c in trace.candidates], True)
    assert changes([trace], right).refinements == 0


async def test_chains_do_not_wait_for_each_other() -> None:
    """One chain's slow feedback holds up no other chain."""
    ended: list[tuple[int, ...]] = []
    world = World(script=never_content, verifiers=())
    world.engine._latency = lambda _prefix, seed: drawn(seed).random() * 0.05

    class Watch:
        def on_node(self, _problem_id: str, node: object) -> None:
            ended.append(node.path)  # type: ignore[attr-defined]

        def on_decision(self, _problem_id: str, _decision: object) -> None:
            pass

    world.observer = Watch()
    await world.solve(SelfRefine(n=4, rounds=2))
    depths = [len(path) for path in ended]
    assert depths != sorted(depths)


async def test_a_guided_chain_goes_on_before_the_doubtful_step() -> None:
    def script(prefix: Prefix, _seed: int) -> str:
        if prefix.depth == 0:
            return "good one\n\nbad two\n\nThe answer is 1."
        return "good two\n\nThe answer is 2."

    def judge(_problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        return tuple(0.1 if "bad" in text else 0.9 for text in texts)

    trace = await World(script=script, verifiers=(ScriptedVerifier(judge),)).solve(
        SelfRefine(rounds=3, guided=True)
    )
    assert [node.path for node in trace.nodes] == [(0,), (0, 0)]
    assert trace.candidates[1].text == "good one\n\ngood two\n\nThe answer is 2."
    assert trace.answer == "2"
    reasons = [d.reason for d in trace.decisions]
    assert "step 2 scores 0.1, below 0.5: tried again from there" in reasons
    assert "no step scores below 0.5" in reasons
    assert trace.savings.scores == 0, "each answer is scored once, and nothing equal was saved"


async def test_a_guided_refinement_may_use_what_the_kept_steps_leave() -> None:
    def script(prefix: Prefix, _seed: int) -> str:
        return "on " * 50 if prefix.depth else "good one\n\nbad two\n\nThe answer is 1."

    def judge(_problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        return tuple(0.1 if "bad" in text else 0.9 for text in texts)

    trace = await World(script=script, verifiers=(ScriptedVerifier(judge),)).solve(
        SelfRefine(rounds=1, guided=True, sampling=Sampling(max_tokens=20))
    )
    assert [(node.tokens, node.ended) for node in trace.nodes] == [(8, "eos"), (18, "length")]
    assert trace.candidates[1].text == "good one\n\n" + "on " * 18


async def test_a_guided_chain_without_a_score_stops_and_says_so() -> None:
    broken = ScriptedVerifier(lambda _p, _t: ScoreFailure("down"))
    trace = await World(verifiers=(broken,)).solve(SelfRefine(guided=True))
    assert len(trace.nodes) == 1
    assert ("unscored", "down") in [(d.kind, d.reason) for d in trace.decisions]


@pytest.mark.parametrize(("knob", "value"), [("n", 0), ("rounds", -1)])
def test_bad_knobs_are_named(knob: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"`{knob}` must be at least .*, got {value}"):
        SelfRefine(**{knob: value})  # type: ignore[arg-type]
