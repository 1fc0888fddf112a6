"""`ponder.solve` and `ponder.asolve`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import ponder
from ponder.engines import EmbeddedEngine, ScriptedEngine
from ponder.errors import UsageError
from ponder.recipes import Recipe
from ponder.strategies import BeamSearch
from ponder.verifiers import ArithmeticVerifier
from tests.engine_fixture import ENGINE_MARKS, embedded_engine
from tests.playing import judged, reasons

__all__ = ["embedded_engine"]

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


async def test_asolve_with_names() -> None:
    trace = await ponder.asolve(
        "What?", model=ScriptedEngine(reasons), strategy="beam_search", verifier="random", n=3
    )
    assert (trace.strategy, trace.n) == ("beam_search", 3)
    assert trace.nodes[0].scores.keys() == {"random"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"question": 5}, "`question` must be text or a Problem, got 5"),
        ({"model": 5}, "`model` must be a path or an open engine, got 5"),
        ({"strategy": 5}, "`strategy` must be a name or a strategy, got 5"),
        ({"verifier": 5}, "`verifier` must be a name, a verifier or a function, got 5"),
        ({"recipe": "grade-school"}, "`recipe` must be a Recipe, got 'grade-school'"),
        ({"budget": "x"}, "`study.budget` should be a valid dictionary, got 'x'"),
        ({"n": 0}, "`study.n` should be greater than or equal to 1, got 0"),
    ],
)
async def test_what_cannot_be_used_is_one_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        await ponder.asolve(**{"question": "What?", "model": ScriptedEngine(reasons), **given})
    assert str(raised.value) == f"ponder.solve: {says}"


@pytest.mark.parametrize("share", [True, False])
async def test_asolve_shares_equal_work_unless_told_not_to(share: bool) -> None:
    trace = await ponder.asolve(
        "What?",
        model=ScriptedEngine(lambda prefix, _seed: "so\n\n" if prefix.depth < 2 else "It is 1."),
        strategy=BeamSearch(n=8, beam_width=2, sampling=ponder.Sampling(separator="\n\n")),
        verifier="random",
        recipe=Recipe().with_key("host.share", share),
    )
    assert (trace.savings.scores > 0) == (trace.savings.prompts > 0) == share


async def test_an_engine_that_keeps_no_openings_saves_no_prompts() -> None:
    engine = ScriptedEngine(reasons)
    engine.capabilities = engine.capabilities._replace(keeps_openings=False)
    trace = await ponder.asolve("What?", model=engine, strategy="beam_search", verifier="random")
    assert max(len(node.path) for node in trace.nodes) > 1
    assert trace.savings.prompts == 0


async def test_asolve_with_objects() -> None:
    trace = await ponder.asolve(
        ponder.Problem.ask("What?"),
        model=ScriptedEngine(reasons),
        strategy=BeamSearch(n=2, beam_width=2, sampling=ponder.Sampling(separator="\n\n")),
        verifier=ArithmeticVerifier(),
    )
    assert trace.nodes[0].scores.keys() == {"arithmetic"}


@pytest.mark.parametrize("strategy", ["sample", "beam_search"])
async def test_a_verifier_that_scores_nothing_is_told_with_the_first_reason(strategy: str) -> None:
    def boom(_problem: ponder.Problem, _steps: tuple[str, ...]) -> list[float]:
        raise ValueError("boom")

    with pytest.warns(UserWarning, match="^nothing could be scored: function: ValueError: boom$"):
        await ponder.asolve(
            "What?", model=ScriptedEngine(reasons), verifier=boom, strategy=strategy, n=2
        )


async def test_a_verifier_that_scores_something_is_no_warning() -> None:
    asked: list[object] = []

    def rarely(_problem: ponder.Problem, steps: tuple[str, ...]) -> list[float]:
        asked.append(steps)
        return [0.5] * (len(steps) if len(asked) > 1 else -1)

    with warnings.catch_warnings(action="error"):
        trace = await ponder.asolve("?", model=ScriptedEngine(reasons), verifier=rarely, n=2)
    assert {node.scores["function"] is None for node in trace.nodes} == {True, False}


@pytest.mark.parametrize(
    "own", [{"n": 8}, {"selector": "weighted"}, {"knobs": {}}, {"sampling": {"max_tokens": 9}}]
)
async def test_what_a_strategy_object_has_itself_cannot_be_given_beside_it(
    own: dict[str, Any],
) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(own))}` is the strategy's own: give it to "):
        await ponder.asolve("?", model=ScriptedEngine(reasons), strategy=BeamSearch(), **own)


async def test_a_function_is_a_verifier_and_none_is_none() -> None:
    trace = await ponder.asolve("What?", model=ScriptedEngine(reasons), verifier=judged)
    assert trace.nodes[0].scores.keys() == {"function"}
    trace = await ponder.asolve("What?", model=ScriptedEngine(reasons), verifier=None, n=2)
    assert trace.nodes[0].scores == {}
    assert len(trace.nodes) == 2


async def test_a_verifier_that_was_named_is_closed_and_one_that_was_given_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Closing(ArithmeticVerifier):
        closed = 0

        async def aclose(self) -> None:
            type(self).closed += 1

    monkeypatch.setattr("ponder.api.verifier_of", lambda _name, _knobs: Closing())
    await ponder.asolve("What?", model=ScriptedEngine(reasons), n=1, verifier=Closing())
    assert Closing.closed == 0
    await ponder.asolve("What?", model=ScriptedEngine(reasons), n=1, verifier="arithmetic")
    assert Closing.closed == 1


async def test_solve_works_inside_a_running_loop() -> None:
    """As in a notebook."""
    trace = ponder.solve("What?", model=ScriptedEngine(reasons), n=2)
    assert len(trace.nodes) == 2
    with pytest.raises(UsageError, match="unknown strategy"):
        ponder.solve("What?", model=ScriptedEngine(reasons), strategy="magic")


def test_solve_works_without_a_loop() -> None:
    budget = {"generations": 3}
    trace = ponder.solve("What?", model=ScriptedEngine(reasons), n=8, budget=budget)
    assert len(trace.nodes) == 3
    assert trace.stopped == "budget"


async def test_a_wrong_word_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown key `study\.beans`"):
        await ponder.asolve("What?", model=ScriptedEngine(reasons), beans=3)
    with pytest.raises(UsageError, match="needs scores"):
        await ponder.asolve("What?", model=ScriptedEngine(reasons), strategy="dvts")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
@pytest.mark.engine
def test_examples_run(example: Path) -> None:
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


class TestEmbedded:
    pytestmark = ENGINE_MARKS

    async def test_a_search_on_the_real_engine(self, embedded_engine: EmbeddedEngine) -> None:
        recipe = ponder.Recipe.shipped("grade-school")
        trace = await ponder.asolve(
            "Kim buys 6 packs of 7 cards. How many cards does she have?",
            model=embedded_engine,
            recipe=recipe,
            n=4,
        )
        assert trace.strategy == "beam_search"
        assert trace.candidates
        assert all(node.error is None for node in trace.nodes)
        assert trace.spent.generated
        assert all(node.tokens is not None and node.tokens <= 96 for node in trace.nodes)
        assert not any(node.retokenised for node in trace.nodes)
