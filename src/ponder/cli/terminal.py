"""Standard output for results, standard error for everything else."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from rich.console import Console

from ponder.encoding import readable_json

Result = TypeVar("Result")


def output() -> Console:
    """Where results go."""
    return Console(highlight=False)


def errors() -> Console:
    """Where progress and errors go."""
    return Console(stderr=True, highlight=False)


def announce(line: str) -> None:
    """Tell of something that takes long."""
    errors().print(line, markup=False, soft_wrap=True)


def working(what: str) -> AbstractContextManager[object]:
    """A spinner on a terminal while something takes its time; nothing elsewhere."""
    console = errors()
    return console.status(what) if console.is_terminal else nullcontext()


def print_json(content: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(readable_json(content, indent=2) + "\n")


def interruptible(work: Callable[[asyncio.Event], Awaitable[Result]]) -> Result:
    """Run `work` with an event that the first Ctrl-C sets; the second one cancels it.

    Raises KeyboardInterrupt if it was cancelled.
    """
    return asyncio.run(_interruptible(work))


async def _interruptible(work: Callable[[asyncio.Event], Awaitable[Result]]) -> Result:
    stop = asyncio.Event()
    task = asyncio.ensure_future(work(stop))

    def interrupted() -> None:
        if stop.is_set():
            task.cancel()
        else:
            stop.set()
            announce("finishing the open problems; Ctrl-C again stops at once")

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        return await task
    except asyncio.CancelledError:
        if stop.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
