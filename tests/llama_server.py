"""llama.cpp's server on loopback, in a process of its own: prints its URL, ends with its parent.

The parent holds the other end of standard input; when it dies, the read below ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SLOTS = 4
CONTEXT = 4 * 1024
"""Tokens, shared by the slots."""


def serve(model: str) -> None:
    """Run the server of the `xllamacpp` wheel until standard input ends."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT
    parameters.endpoint_slots = True
    # Its threads wait by spinning: a second one costs more than it brings on a busy machine.
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


@contextmanager
def running(model: Path) -> Iterator[str]:
    """The URL of a server for `model`."""
    command = [sys.executable, __file__, str(model)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "llama.cpp's server did not start"
        try:
            yield url
        finally:
            process.kill()


if __name__ == "__main__":
    serve(sys.argv[1])
