"""Starts vLLM beside this program, and says in one line why it does not start."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import Any, Final

from ponder.engines.vllm.options import VllmOptions
from ponder.errors import EngineError, MissingExtraError

_SURROUNDINGS: Final = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output belongs to results
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would copy locks that our threads hold
    "VLLM_NO_USAGE_STATS": "1",
}
"""vLLM's environment variables, where the user has not set them."""
_LAST_SECONDS: Final = 20.0
"""For its processes to end by themselves; killed, they leave shared memory behind."""


def check_installed() -> None:
    """Raise MissingExtraError where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm")


def load(model: str, options: VllmOptions) -> Any:
    """An `AsyncLLM` whose processes run; takes a minute or more. Raises EngineError."""
    for name, value in _SURROUNDINGS.items():
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = options.arguments(model, on_cpu=bool(current_platform.is_cpu()))
    try:
        with _deaf_to_interrupts():
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise EngineError(f"vLLM cannot load {model}: {_line(error)}") from error


def end(llm: Any) -> None:
    """End vLLM's processes; takes some seconds.

    Its destructor would end them once more, at the program's end fail at that, and say so.
    """
    llm.shutdown(timeout=_LAST_SECONDS)
    llm.shutdown = _nothing


def _nothing() -> None:
    """What is left to do for an engine that has ended."""


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started here do not see Ctrl-C, which asks this program to end in good order.

    A child inherits the signals that its parent's thread holds back, vLLM's own children too. The
    tracker of multiprocessing, where it is started within, would let the signal through again.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _line(error: Exception) -> str:
    """The last line of what vLLM says: the lines before it say where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "error" in line.lower() and len(line) > 20), None)
    return (told or (lines[0] if lines else type(error).__name__))[:300]
