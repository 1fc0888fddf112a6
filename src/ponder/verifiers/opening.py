"""What takes long to open is opened by the first call that needs it, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ponder.errors import EngineError, VerifierError, VerifierLostError

Opened = TypeVar("Opened")


class OpenedOnce(Generic[Opened]):
    """Opened in a thread by the first `get`, while the others wait for it."""

    def __init__(self, open_it: Callable[[], Opened]) -> None:
        self._open_it = open_it
        self._task: asyncio.Task[Opened] | None = None

    @property
    def opened(self) -> Opened | None:
        """What is open now; None before, after `take`, and where opening failed."""
        task = self._task
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def get(self) -> Opened:
        """What is open; raises what opening raised, each time: VerifierLostError for a failure."""
        if self._task is None or self._task.cancelled():
            self._task = asyncio.create_task(asyncio.to_thread(self._open_it))
        try:
            return await asyncio.shield(self._task)
        except (VerifierError, EngineError, OSError) as error:
            raise VerifierLostError(str(error) or type(error).__name__) from error

    async def take(self) -> Opened | None:
        """Give back what is open, to be closed, and forget it: the next `get` opens again."""
        if self._task is not None and not self._task.done():  # done: maybe in a loop that is closed
            await asyncio.wait([self._task])
        opened, self._task = self.opened, None
        return opened
