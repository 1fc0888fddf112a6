"""vLLM's server on loopback, in a process group of its own.

It is started by the module that `vllm serve` runs: the command itself looks for an installed
package of the name `vllm`, and the CPU build has another one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.vllm_models import CONTEXT

NAME = "served"
"""What the server calls its model."""
BLOCK = 32
SLOTS = 16
_PATIENCE = 300.0
"""Seconds to load a small model on a busy machine."""
_ENTRY = "vllm.entrypoints.launchers.api_server.entry"
_SURROUNDINGS = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


@contextmanager
def serving(model: Path, *options: str) -> Iterator[str]:
    """The URL of a server for `model`, which is ended with all its processes."""
    port = _free_port()
    fixed = {
        "--model": str(model),
        "--served-model-name": NAME,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "float32",
        "--block-size": str(BLOCK),
        "--max-model-len": str(CONTEXT),
        "--max-num-seqs": str(SLOTS),
    }
    flags = [part for pair in fixed.items() for part in pair]
    command = [sys.executable, "-m", _ENTRY, *flags]
    log = model / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--enforce-eager", "--enable-prompt-tokens-details", *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_SURROUNDINGS},
            start_new_session=True,
        )
        try:
            _wait_until_ready(server, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        assert server.poll() is None, f"vLLM's server ended: {log.read_text()[-2000:]}"
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(f"vLLM's server did not start: {log.read_text()[-2000:]}")
