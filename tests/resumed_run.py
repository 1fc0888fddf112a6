"""A slow scripted run, to be killed and resumed: `python -m tests.resumed_run RUN PROBLEMS CALLS`.

Every sample that the engine starts is written down in CALLS, one seed a line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ponder.engines.scripted import ScriptedEngine
from ponder.evals.study import closed
from ponder.runner import Job, Method, run, unfinished
from ponder.session import Slots
from ponder.store.run import RunStore
from ponder.strategies.beam_search import BeamSearch
from ponder.types import Example, Prefix, Problem, Sampling
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import PlainAnswers, drawn, judged, reasons

STRATEGY = BeamSearch(n=4, beam_width=2, sampling=Sampling(separator="\n\n"))


def examples(count: int) -> list[Example]:
    return [Example(Problem.ask(f"What is {i}?", f"p{i:03}"), str(i % 5)) for i in range(count)]


async def main(folder: Path, count: int, calls: Path) -> None:
    written = os.open(calls, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def latency(prefix: Prefix, seed: int) -> float:
        os.write(written, f"{seed}\n".encode())
        return 0.02 + drawn(prefix.key, seed).random() * 0.2

    engine = ScriptedEngine(reasons, latency=latency, slots=8)
    method = Method(STRATEGY, engine, (ScriptedVerifier(judged),), PlainAnswers())
    with RunStore.open(folder, study={"count": count}, host={}, recipe_toml="") as store:
        store.add_examples(examples(count))
        left = unfinished(store, [example.problem for example in examples(count)], STRATEGY.n)
        jobs = [Job(problem, method, store) for problem in left]
        async with closed(jobs):
            await run(jobs, Slots(8))
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
