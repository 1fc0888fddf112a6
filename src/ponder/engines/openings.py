"""Rendered conversations, kept: a problem is rendered and tokenised once, not once a step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Generic, TypeVar

from ponder.types import Message

Opening = TypeVar("Opening")
Render = Coroutine[Any, Any, Opening]

KEPT: Final = 1024
"""Conversations whose opening an engine keeps unless told otherwise."""


class Openings(Generic[Opening]):
    """What `render` makes of conversations, the last `kept` of them remembered; 0 keeps none.

    Calls for one conversation at the same time wait for one rendering. One that failed is not
    kept. It belongs to the event loop of its first call.
    """

    def __init__(
        self, render: Callable[[tuple[Message, ...]], Render[Opening]], kept: int = KEPT
    ) -> None:
        self._render = render
        self._kept = kept
        self._known: dict[tuple[Message, ...], asyncio.Task[Opening]] = {}

    async def of(self, messages: tuple[Message, ...]) -> Opening:
        """The opening of a conversation. Raises what rendering it raises."""
        if not self._kept:
            return await self._render(messages)
        task = self._known.get(messages) or self._begin(messages)
        return await asyncio.shield(task)  # others may wait for it too

    def _begin(self, messages: tuple[Message, ...]) -> asyncio.Task[Opening]:
        while len(self._known) >= self._kept:
            del self._known[next(iter(self._known))]
        task = self._known[messages] = asyncio.create_task(self._render(messages))
        task.add_done_callback(partial(self._forget_failed, messages))
        return task

    def _forget_failed(self, messages: tuple[Message, ...], task: asyncio.Task[Opening]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._known.get(messages) is task:
            del self._known[messages]
