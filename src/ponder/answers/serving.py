"""The worker's side: answers requests, one JSON line each, within its limits.

A template process imports what is needed, says "ready", and forks the process that serves. A
request is `{"id", "arguments", "seconds"}`, its answer `{"id", "value"}` or `{"id", "failed"}`.
The kernel's timer kills the server that computes for too long: no Python code runs while a large
power is computed. It counts processor time, so that a busy machine does not change answers. The
template tells `{"died": status}` and forks another, without importing again. End of input ends
both, so neither computes on for more than the time limit after its parent is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence

from ponder.errors import PonderError


def main(arguments: Sequence[str]) -> None:
    """Serve `module:function` over the socket that is this process's standard input."""
    target, megabytes, warm_up = arguments
    connection = socket.socket(fileno=0)
    try:
        function = load(target)
        for example in json.loads(warm_up):
            function(*example)
    except Exception as error:  # noqa: BLE001 - the parent raises what went wrong here
        send(connection, {"failed": f"{type(error).__name__}: {error}"})
        return
    send(connection, {"value": "ready"})
    while status := _serve_in_child(connection, function, int(megabytes) << 20):
        send(connection, {"died": status})


def load(target: str) -> Callable[..., object]:
    """The function that `module:name` names."""
    module, _, name = target.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


def serve(connection: socket.socket, function: Callable[..., object]) -> None:
    """Answer requests until the input ends."""
    with connection.makefile("rb") as requests:
        for line in requests:
            request = json.loads(line)
            signal.setitimer(signal.ITIMER_PROF, request["seconds"])
            answer = answered(function, request["arguments"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(connection, {"id": request["id"], **answer})


def answered(function: Callable[..., object], arguments: Sequence[object]) -> dict[str, object]:
    """The function's value, or why it has none: untrusted input may raise anything in it."""
    try:
        return {"value": function(*arguments)}
    except MemoryError:
        return {"failed": "out of memory"}
    except PonderError as error:
        return {"failed": str(error)}
    except RecursionError:
        return {"failed": "nested too deeply"}
    except Exception as error:  # noqa: BLE001 - any failure is an answer here
        return {"failed": f"{type(error).__name__}: {error}"[:200]}


def send(connection: socket.socket, message: dict[str, object]) -> None:
    """Write one line."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def _serve_in_child(connection: socket.socket, function: Callable[..., object], memory: int) -> int:
    """How the server ended: 0 at the end of input, else its exit code or minus its signal."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        serve(connection, function)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
