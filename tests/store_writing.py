"""Programs that write to a run until they are killed: `python -m tests.store_writing KIND RUN`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from random import Random

from ponder.store import CallKey, CallRecord, RunStore
from ponder.trace import Node, Spent, Trace

CALLS = 3
"""Recorded for each problem."""


def opened(folder: Path) -> RunStore:
    return RunStore.open(folder, study={"n": 1}, host={}, recipe_toml="n = 1\n")


def traced(problem_id: str, size: int = 100) -> Trace:
    node = Node((0,), (), Random(problem_id).randbytes(size).hex(), "eos")  # does not compress
    return Trace(problem_id, "sample", (node,), (), (), None, None, Spent())


def called(problem_id: str, index: int) -> CallKey:
    return CallKey(problem_id, (index,), "sample", "model", "request")


def content(problem: int, index: int) -> bytes:
    return f"{problem} {index} ".encode() * 50


async def write(folder: Path) -> None:
    """Print "ready", then the number of each problem once it is committed, for ever."""
    with opened(folder) as store:
        done = len(store.finished())
        print("ready", flush=True)
        while True:
            for i in range(CALLS):
                store.log.put(called(f"p{done}", i), CallRecord(content(done, i), False))
            await store.finish(traced(f"p{done}"))
            print(done, flush=True)
            done += 1


def fork(folder: Path) -> None:
    """Hold a run, and have a child that prints its pid; both stay."""
    with opened(folder):
        if os.fork() == 0:
            print(os.getpid(), flush=True)
        time.sleep(60)


if __name__ == "__main__":
    kind, run = sys.argv[1:]
    if kind == "write":
        asyncio.run(write(Path(run)))
    else:
        fork(Path(run))
