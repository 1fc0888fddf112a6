"""Conversations that engines keep rendered."""

from __future__ import annotations

import asyncio

import pytest

from ponder.engines.openings import Openings
from ponder.errors import EngineError
from ponder.types import Message


def turns(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


class Renderer:
    """Counts what it renders, and waits for `gate`."""

    def __init__(self) -> None:
        self.rendered: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, messages: tuple[Message, ...]) -> str:
        text = messages[0].content
        self.rendered.append(text)
        await self.gate.wait()
        if text == "broken":
            raise EngineError("the template fails")
        return f"<{text}>"


async def test_a_conversation_is_rendered_once() -> None:
    render = Renderer()
    openings = Openings(render)
    assert [await openings.of(turns(text)) for text in "aba"] == ["<a>", "<b>", "<a>"]
    assert render.rendered == ["a", "b"]


async def test_the_oldest_is_dropped_when_there_are_more_than_are_kept() -> None:
    render = Renderer()
    openings = Openings(render, kept=2)
    for text in "abcbca":
        await openings.of(turns(text))
    assert render.rendered == ["a", "b", "c", "a"]


async def test_none_is_kept_when_asked_so() -> None:
    render = Renderer()
    openings = Openings(render, kept=0)
    assert [await openings.of(turns("a")) for _ in range(2)] == ["<a>", "<a>"]
    assert render.rendered == ["a", "a"]


async def test_calls_at_the_same_time_wait_for_one_rendering() -> None:
    """And when the first of them gives up, the others still get it."""
    render = Renderer()
    render.gate.clear()
    openings = Openings(render)
    calls = [asyncio.create_task(openings.of(turns("a"))) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    render.gate.set()
    done = await asyncio.wait_for(asyncio.wait(calls), 10)
    assert not done[1]
    assert calls[0].cancelled()
    assert [call.result() for call in calls[1:]] == ["<a>", "<a>"]
    assert render.rendered == ["a"]


async def test_a_failure_is_not_kept() -> None:
    render = Renderer()
    openings = Openings(render)
    for _ in range(2):
        with pytest.raises(EngineError, match="template fails"):
            await openings.of(turns("broken"))
    assert render.rendered == ["broken", "broken"]
