"""The process that runs OpenVINO GenAI: `python -m ponder.backends.openvino_child FD PARENT`.

A process of its own because `step()` holds the interpreter's lock. One loop: read what the
parent sent, add what may run, make one step, send what ended. It dies with its parent: the
kernel kills it when the thread that started it ends, and the end of the socket ends the loop.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
from typing import Any

from ponder.backends.openvino_messages import LENGTH, Draw, Message, Settings, pack, unpack
from ponder.backends.openvino_model import OpenVinoModel
from ponder.backends.openvino_samples import Samples
from ponder.errors import PonderError

_PR_SET_PDEATHSIG = 1


class Channel:
    """The child's end of the socket: frames in, frames out."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def waiting(self) -> bool:
        """A frame has begun to arrive, or the parent is gone."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def receive(self) -> list[Message]:
        """The next frame; raises EOFError when the parent is gone."""
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return unpack(self._read(length))

    def send(self, messages: list[Message]) -> None:
        """Send one frame, if there is anything to say."""
        if messages:
            self._socket.sendall(pack(messages))

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


class Loop:
    """Serves one parent until it is gone."""

    def __init__(self, channel: Channel, model: OpenVinoModel) -> None:
        self._channel = channel
        self._model = model
        self._samples = Samples(model)

    def run(self) -> None:
        """Raises EOFError when the parent is gone."""
        while True:
            while self._channel.waiting() or not self._samples.active:
                self._channel.send(self._take(self._channel.receive()))
            self._channel.send([("drawn", drawn.content()) for drawn in self._samples.step()])

    def _take(self, messages: list[Message]) -> list[Message]:
        """Do what the parent asks, and answer its questions."""
        answers: list[Message] = []
        for kind, content in messages:
            if kind == "draw":
                self._samples.add(Draw.read(content))
            elif kind == "cancel":
                self._samples.cancel(content)
            else:
                number, question = content
                answers.append(("answer", [number, *self._answer(kind, question)]))
        return answers

    def _answer(self, kind: str, question: Any) -> tuple[Any, str | None]:
        try:
            match kind:
                case "render":
                    return self._model.render(question), None
                case "encode":
                    return self._model.encode(question), None
                case "decode":
                    return self._model.decode(question), None
                case "running":
                    return self._samples.running, None
        except (PonderError, RuntimeError) as error:
            return None, one_line(error)
        return None, f"the engine does not know the question {kind!r}"


def one_line(error: Exception) -> str:
    """The last line of a message: OpenVINO puts the source's place before the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, however it does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def main(descriptor: int, parent: int) -> None:
    """Open the model that the first message names, then serve."""
    die_with_parent(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    with contextlib.suppress(EOFError, ConnectionError):
        [(_, content)] = channel.receive()
        try:
            model = OpenVinoModel(Settings.read(content))
        except (PonderError, RuntimeError) as error:
            channel.send([("failed", one_line(error))])
            return
        channel.send([("opened", model.opened.content())])
        Loop(channel, model).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    sys.stderr.flush()
    os._exit(0)  # the library's own teardown takes seconds and has nothing to save
