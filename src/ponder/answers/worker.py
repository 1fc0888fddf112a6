"""Worker processes that compute on untrusted input within limits of time and memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypedDict

from ponder.errors import PonderError, UsageError

START_SECONDS = 120.0
"""How long a new process may take to import what it needs."""
GRACE_SECONDS = 1.0
"""How long a process may take to end by itself."""
PATIENCE = 20.0
"""How many times the processor time of a call it may wait for its turn on a busy machine."""
LEAST_MEMORY = 256
"""Megabytes that a process needs to start."""

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ponder.answers.serving import main; main(sys.argv[2:])"
)


class Outcome(NamedTuple):
    """What a call gave: a value, or why there is none."""

    value: object
    failed: str | None = None


class _Message(TypedDict, total=False):
    """A line from a worker process."""

    id: int
    value: object
    failed: str
    died: int


class LimitedWorkers:
    """Calls one function in processes that are killed when they take too long.

    Processes start when they are needed, serve any event loop, and end with this process, however
    it ends. One that was killed is replaced at once. `seconds` are processor time of one call,
    `environment` is added to this process's own.
    """

    def __init__(
        self,
        function: str,
        *,
        workers: int = 2,
        seconds: float = 5.0,
        memory_mb: int = 1024,
        warm_up: Sequence[Sequence[object]] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if workers < 1:
            raise UsageError(f"`workers` must be at least 1, got {workers}")
        if seconds <= 0:
            raise UsageError(f"`seconds` must be over 0, got {seconds}")
        if memory_mb < LEAST_MEMORY:
            raise UsageError(f"`memory_mb` must be at least {LEAST_MEMORY}, got {memory_mb}")
        self.seconds = seconds
        self._command = (function, str(memory_mb), json.dumps(warm_up))
        self._environment = environment or {}
        self._idle: deque[_Process] = deque()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ponder-worker")
        self._end = weakref.finalize(self, _shut_down, self._threads, self._idle)

    async def call(self, *arguments: object) -> Outcome:
        """Call the function with JSON values; its own errors are outcomes too.

        Raises PonderError if no process can start.
        """
        return await asyncio.wrap_future(self._threads.submit(self._call, arguments))

    def close(self) -> None:
        """End the processes once the calls that run have ended; a second call does nothing."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._end()

    def _call(self, arguments: tuple[object, ...]) -> Outcome:
        try:
            process = self._idle.pop()
        except IndexError:
            process = _Process(self._command, self._environment)
        outcome = process.call(arguments, self.seconds)
        if process.alive:
            self._idle.append(process)
        return outcome


class _Process:
    """One worker process and the socket to it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), *command],
                env={**os.environ, **environment},
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # an interrupt from the terminal ends nothing here
            )
        self._unread = b""
        self._calls = 0
        self.alive = True
        started = self._receive(time.monotonic() + START_SECONDS)
        if started.get("value") != "ready":
            self.end()
            raise PonderError(f"a worker process cannot start: {started.get('failed')}")

    def call(self, arguments: tuple[object, ...], seconds: float) -> Outcome:
        """Ask and wait; a process that does not keep to its limit is at its end."""
        self._calls += 1
        request = {"id": self._calls, "arguments": arguments, "seconds": seconds}
        deadline = time.monotonic() + seconds * PATIENCE
        try:
            self._socket.settimeout(seconds * PATIENCE)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            answer = self._receive(deadline)
            while answer.get("id", self._calls) != self._calls:
                answer = self._receive(deadline)
        except OSError as error:
            self.end()
            return Outcome(None, f"the worker process is gone ({error or type(error).__name__})")
        died = answer.get("died")
        failed = answer.get("failed") if died is None else _reason(died, seconds)
        return Outcome(answer.get("value"), failed)

    def end(self) -> None:
        """Close its input, which ends it unless it computes, and kill it if it does not end."""
        self.alive = False
        self._socket.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _receive(self, deadline: float) -> _Message:
        """The next line; raises OSError when none comes."""
        while b"\n" not in self._unread:
            self._socket.settimeout(max(deadline - time.monotonic(), 1e-3))
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionResetError("it closed its socket")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        message: _Message = json.loads(line)
        return message


def _reason(died: int, seconds: float) -> str:
    """Why a server died that ended with this exit code, or minus this signal."""
    if died == -signal.SIGPROF:
        return f"took longer than {seconds:g} s"
    ended = signal.Signals(-died).name if died < 0 else f"exit {died}"
    return f"the worker process died ({ended})"


def _shut_down(threads: ThreadPoolExecutor, idle: deque[_Process]) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    while idle:
        idle.pop().end()
