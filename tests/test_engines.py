"""The engines that need no server keep the engines' contract."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.engines import EmbeddedEngine, Reply, ScriptedEngine
from ponder.engines.base import Engine
from ponder.errors import EngineLostError
from ponder.types import Prefix, Problem, Sampling
from tests.contracts.engine_contract import CONTRACT, Check
from tests.engine_fixture import ENGINE_MARKS, embedded_engine

__all__ = ["embedded_engine"]


def lines(prefix: Prefix, seed: int) -> str:
    """Fruit, a line each, for ever."""
    return "".join(f"fruit number {seed} and {prefix.depth + i}\n" for i in range(40))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_scripted(check: Check) -> None:
    await check(ScriptedEngine(lines))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_scripted_without_tokens(check: Check) -> None:
    await check(ScriptedEngine(lines, counts_tokens=False))


class TestEmbedded:
    pytestmark = ENGINE_MARKS

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    async def test_contract(self, embedded_engine: Engine, check: Check) -> None:
        assert isinstance(embedded_engine, EmbeddedEngine)
        await check(embedded_engine)


async def test_a_scripted_failure_keeps_what_was_there() -> None:
    engine = ScriptedEngine(lambda _p, seed: Reply("a b", error="lost") if seed else "a b")
    root = Prefix.root(Problem.ask("?"))
    got = {c.index: c async for c in engine.generate(root, Sampling(), [0, 1])}
    assert (got[0].error, got[1].error) == (None, "lost")
    assert (got[1].text, got[1].ended) == ("a b", "aborted")
    assert engine.calls == 2
    await engine.aclose()
    assert engine.closed


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (ValueError("no\nidea"), "the script raised ValueError: no idea"),
        (None, "the script must return a text or a Reply, got NoneType"),
        (7, "the script must return a text or a Reply, got int"),
    ],
)
async def test_a_script_that_fails_or_says_nothing_fails_its_sample_alone(
    said: object, told: str
) -> None:
    def script(_prefix: Prefix, seed: int) -> Any:
        if seed == 0:
            return "a b"
        if isinstance(said, Exception):
            raise said
        return said

    root = Prefix.root(Problem.ask("?"))
    engine = ScriptedEngine(script)
    got = {c.index: c async for c in engine.generate(root, Sampling(), [0, 1])}
    assert (got[0].error, got[1].error) == (None, told)
    assert (got[0].text, got[1].ended) == ("a b", "aborted")


async def test_a_script_plays_an_engine_that_ends_for_good() -> None:
    def script(_prefix: Prefix, _seed: int) -> str:
        raise EngineLostError("it is gone")

    root = Prefix.root(Problem.ask("?"))
    with pytest.raises(EngineLostError, match="it is gone"):
        await anext(ScriptedEngine(script).generate(root, Sampling(), [0]))
