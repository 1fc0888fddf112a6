"""The parent's side of the OpenVINO process: start it, speak with it, start it again once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from typing import Any, BinaryIO

from ponder.backends.openvino_messages import (
    LENGTH,
    Draw,
    Drawn,
    Message,
    Opened,
    Settings,
    pack,
    unpack,
)
from ponder.errors import EngineError

RESTARTS = 1
"""How often a process that died is replaced."""


class OpenVinoProcess:
    """A model in a child process; the child is replaced once if it dies.

    Belongs to the event loop and the thread that it was opened in: the child ends with that
    thread.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._restarts = RESTARTS
        self._child: asyncio.Task[_Child] | None = None
        self._closed = False
        self._numbers = 0

    async def open(self) -> Opened:
        """Start the process unless it runs; raises EngineError when the model cannot be loaded."""
        return (await self._living()).opened

    async def draw(self, draw: Draw) -> AsyncGenerator[Drawn, None]:
        """The samples of a draw as they end; closing the iterator cancels what still runs.

        When the process dies, each sample that had not ended is yielded as failed.
        """
        try:
            child = await self._living()
        except EngineError as error:
            for index in range(len(draw.seeds)):
                yield Drawn(draw.call, index, error=str(error))
            return
        queue = child.begin(draw)
        left = set(range(len(draw.seeds)))
        try:
            while left:
                drawn = await queue.get()
                left.discard(drawn.index)
                yield drawn
        finally:
            child.end(draw.call, cancel=bool(left))

    async def ask(self, kind: str, question: Any = None) -> Any:
        """Have the process answer a question; raises EngineError when it cannot."""
        return await (await self._living()).ask(kind, question)

    def number(self) -> int:
        """A new number for a draw."""
        self._numbers += 1
        return self._numbers

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        task = self._child
        ready = task is not None and task.done() and not task.cancelled() and not task.exception()
        return task.result().pid if task is not None and ready else None

    async def aclose(self) -> None:
        """End the process; a second call does nothing."""
        self._closed = True
        task, self._child = self._child, None
        if task is not None:
            with contextlib.suppress(EngineError):
                await (await task).aclose()

    async def _living(self) -> _Child:
        if self._closed:
            raise EngineError("the engine is closed")
        if self._child is None:
            self._child = asyncio.create_task(_Child.start(self._settings))
        child = await asyncio.shield(self._child)
        if child.death is None:
            return child
        if self._child.done() and self._child.result() is child:
            if not self._restarts:
                raise EngineError(f"{child.death}; it is not started again")
            self._restarts -= 1
            self._child = asyncio.create_task(_Child.start(self._settings))
        return await self._living()


class _Child:
    """One life of the process."""

    def __init__(
        self, process: asyncio.subprocess.Process, errors: BinaryIO, parent: socket.socket
    ) -> None:
        self._process = process
        self._errors = errors
        self._socket = parent
        self._draws: dict[int, tuple[asyncio.Queue[Drawn], set[int]]] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._questions = 0
        self.pid = process.pid
        self.death: str | None = None
        """Why the process ended, in one line; None while it lives."""
        self.opened: Opened

    @classmethod
    async def start(cls, settings: Settings) -> _Child:
        parent, child = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        arguments = ["-P", "-m", "ponder.backends.openvino_child"]
        with child:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                str(child.fileno()),
                str(os.getpid()),
                pass_fds=[child.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self = cls(process, errors, parent)
        try:
            await self._connect(settings)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def _connect(self, settings: Settings) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._send("open", settings.content())
        try:
            [(kind, content)] = await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EngineError(await self._cause()) from None
        if kind != "opened":
            raise EngineError(f"cannot load {settings.model}: {content}")
        self.opened = Opened.read(content)
        self._listener = asyncio.create_task(self._listen())

    def begin(self, draw: Draw) -> asyncio.Queue[Drawn]:
        queue: asyncio.Queue[Drawn] = asyncio.Queue()
        self._draws[draw.call] = queue, set(range(len(draw.seeds)))
        if self.death is not None:
            self._fail(self.death)
        else:
            self._send("draw", draw.content())
        return queue

    def end(self, call: int, cancel: bool) -> None:
        self._draws.pop(call, None)
        if cancel and self.death is None:
            self._send("cancel", call)

    async def ask(self, kind: str, question: Any) -> Any:
        if self.death is not None:
            raise EngineError(self.death)
        self._questions += 1
        number, answer = self._questions, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send(kind, [number, question])
        try:
            return await answer
        finally:
            del self._answers[number]

    async def aclose(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if hasattr(self, "_listener"):
            await self._listener
        await self._process.wait()
        if hasattr(self, "_writer"):
            self._writer.close()
        self._socket.close()
        self._errors.close()

    async def _listen(self) -> None:
        try:
            while True:
                for kind, content in await self._receive():
                    self._dispatch(kind, content)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.death = await self._cause()
            self._fail(self.death)

    def _dispatch(self, kind: str, content: Any) -> None:
        if kind == "drawn":
            drawn = Drawn.read(content)
            if drawn.call in self._draws:
                queue, left = self._draws[drawn.call]
                left.discard(drawn.index)
                queue.put_nowait(drawn)
            return
        number, value, error = content
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(EngineError(error))

    def _fail(self, reason: str) -> None:
        for call, (queue, left) in self._draws.items():
            for index in sorted(left):
                queue.put_nowait(Drawn(call, index, error=reason))
            left.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(EngineError(reason))

    async def _cause(self) -> str:
        status = await self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"the engine's process died ({how})" + (f": {said[-1]}" if said else "")

    async def _receive(self) -> Sequence[Message]:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return unpack(await self._reader.readexactly(length))

    def _send(self, kind: str, content: Any) -> None:
        self._writer.write(pack([(kind, content)]))
