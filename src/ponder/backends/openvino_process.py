"""A model in a child process, as the engine uses it: started again once if it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ponder.backends.openvino_connection import Connection
from ponder.backends.openvino_messages import Draw, Drawn, Opened, Settings
from ponder.errors import EngineError, EngineLostError

RESTARTS = 1
"""How often a process that died is replaced."""


class OpenVinoProcess:
    """Belongs to the event loop and the thread that it was opened in: it ends with that thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._restarts = RESTARTS
        self._starting: asyncio.Task[Connection] | None = None
        self._connection: Connection | None = None
        self._closed = False
        self._draws = 0

    async def open(self) -> Opened:
        """Start the process unless it runs; raises EngineError when the model cannot be loaded."""
        return (await self._living()).opened

    async def draw(self, draw: Draw) -> AsyncGenerator[Drawn, None]:
        """The samples of a draw as they end; closing the iterator cancels what still runs.

        When the process dies, each sample that had not ended is yielded as failed. Raises
        EngineLostError when it has died too often to be started again, or cannot be.
        """
        try:
            connection = await self._living()
        except EngineError as error:
            for index in range(len(draw.seeds)):
                yield Drawn(draw.call, index, error=str(error))
            return
        queue = connection.begin(draw)
        left = len(draw.seeds)
        try:
            while left:
                drawn = await queue.get()
                left -= 1
                yield drawn
        finally:
            connection.end(draw.call, cancel=left > 0)

    async def ask(self, kind: str, question: Any = None) -> Any:
        """Have the process answer a question; raises EngineError when it cannot.

        Raises EngineLostError as `draw` does.
        """
        return await (await self._living()).ask(kind, question)

    def number(self) -> int:
        """A new number for a draw."""
        self._draws += 1
        return self._draws

    @property
    def pid(self) -> int | None:
        """Of the process that runs, or ran last."""
        return None if self._connection is None else self._connection.pid

    async def aclose(self) -> None:
        """End the process; a second call does nothing."""
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().aclose()

    async def _living(self) -> Connection:
        if self._closed:
            raise EngineError("the engine is closed")
        dead = self._connection
        if dead is not None and dead.death is not None and self._is_current(dead):
            if not self._restarts:
                raise EngineLostError(f"{dead.death}; it is not started again")
            self._restarts -= 1
            self._starting = asyncio.create_task(self._start(dead))
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(None))
        return await asyncio.shield(self._starting)

    def _is_current(self, connection: Connection) -> bool:
        """It is the last one, and no other is being started."""
        starting = self._starting
        if starting is None or not starting.done() or starting.exception() is not None:
            return False
        return starting.result() is connection

    async def _start(self, dead: Connection | None) -> Connection:
        if dead is not None:
            await dead.aclose()
        try:
            self._connection = await Connection.open(self._settings)
        except (EngineError, OSError) as error:
            if dead is None:
                raise
            lost = f"{dead.death}; it could not be started again: {error}"
            raise EngineLostError(lost) from error
        return self._connection
