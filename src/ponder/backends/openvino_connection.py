"""One life of the OpenVINO child process, seen from its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from typing import IO, Any

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

_GONE = (asyncio.IncompleteReadError, ConnectionError)


class Connection:
    """Sends draws and questions, and hands out what comes back. Made by `open`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        errors: IO[bytes],
    ) -> None:
        self._process = process
        self._reader, self._writer = streams
        self._errors = errors
        self._draws: dict[int, tuple[asyncio.Queue[Drawn], set[int]]] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._questions = 0
        self._listener: asyncio.Task[None] | None = None
        self.pid = process.pid
        self.opened: Opened
        """What the process said of its model."""
        self.death: str | None = None
        """Why the process ended, in one line; None while it lives."""

    @classmethod
    async def open(cls, settings: Settings) -> Connection:
        """Start a process and wait until it has loaded its model; EngineError if it cannot."""
        with contextlib.ExitStack() as undo:
            errors = undo.enter_context(tempfile.TemporaryFile())
            parent, child = socket.socketpair()
            with child:
                streams = await asyncio.open_unix_connection(sock=parent)
                undo.callback(streams[1].close)
                self = cls(await _spawn(child, errors), streams, errors)
            undo.pop_all()
        try:
            self.opened = await self._load(settings)
        except BaseException:
            await self.aclose()
            raise
        self._listener = asyncio.create_task(self._listen())
        return self

    def begin(self, draw: Draw) -> asyncio.Queue[Drawn]:
        """Ask for samples: one comes for each seed, failed if the process dies."""
        queue: asyncio.Queue[Drawn] = asyncio.Queue()
        self._draws[draw.call] = queue, set(range(len(draw.seeds)))
        if self.death is None:
            self._send("draw", draw.content())
        else:
            self._fail(self.death)
        return queue

    def end(self, call: int, cancel: bool) -> None:
        """No more of this draw is wanted; `cancel` what still runs."""
        self._draws.pop(call, None)
        if cancel and self.death is None:
            self._send("cancel", call)

    async def ask(self, kind: str, question: Any) -> Any:
        """The answer to a question; EngineError if there is none."""
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
        """End the process, which has nothing to save, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._listener is not None:
            await self._listener
        await self._process.wait()
        self._writer.close()
        self._errors.close()

    async def _load(self, settings: Settings) -> Opened:
        self._send("open", settings.content())
        try:
            [(kind, content)] = await self._receive()
        except _GONE:
            raise EngineError(await self._cause()) from None
        if kind != "opened":
            raise EngineError(f"cannot load {settings.model}: {content}")
        return Opened.read(content)

    async def _listen(self) -> None:
        try:
            while True:
                for kind, content in await self._receive():
                    if kind == "drawn":
                        self._hand_out(Drawn.read(content))
                    else:
                        self._answer(*content)
        except _GONE:
            self.death = await self._cause()
            self._fail(self.death)

    def _hand_out(self, drawn: Drawn) -> None:
        if drawn.call in self._draws:
            queue, left = self._draws[drawn.call]
            left.discard(drawn.index)
            queue.put_nowait(drawn)

    def _answer(self, number: int, value: Any, error: str | None) -> None:
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(EngineError(error))

    def _fail(self, reason: str) -> None:
        for call, (queue, left) in self._draws.items():
            for index in sorted(left):
                queue.put_nowait(Drawn(call, index, error=reason))
            left.clear()
        for number in list(self._answers):
            self._answer(number, None, reason)

    async def _cause(self) -> str:
        status = await self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"the engine's process died ({how})" + (f": {said[-1]}" if said else "")

    async def _receive(self) -> list[Message]:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return unpack(await self._reader.readexactly(length))

    def _send(self, kind: str, content: Any) -> None:
        self._writer.write(pack([(kind, content)]))


async def _spawn(child: socket.socket, errors: IO[bytes]) -> asyncio.subprocess.Process:
    """A new process at the other end of `child`.

    It has a session of its own: an interrupt in the terminal is for the parent to answer.
    """
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "ponder.backends.openvino_child"),
        *(str(child.fileno()), str(os.getpid())),
        pass_fds=[child.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
