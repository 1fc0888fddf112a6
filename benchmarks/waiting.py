"""What a verifier computes, and how long the engine stands still for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.tables import table
from benchmarks.watching import only_in_first
from benchmarks.workload import BEAM_WIDTH, STRATEGIES, Watched, parts, watched_run, work
from ponder.evals.verifier_counts import counted

NAME = "verifier"
PROBLEMS = 32
N = 8


@dataclass(frozen=True, slots=True)
class Waited:
    """One run of one strategy."""

    strategy: str
    repeat: int
    seconds: float
    """From the first sample's start to the last one's end."""
    waiting_seconds: float
    """Of these, those in which samples were being scored and none was being drawn."""
    computed: int | None
    """Positions that passed through the verifier's model; None: it has none."""
    distinct: int | None
    """Nodes of the prefix trees of all that it was asked for."""


@dataclass(frozen=True, slots=True)
class Results:
    """Runs in turns."""

    n: int
    problems: int
    runs: tuple[Waited, ...]


async def measure(options: Options) -> Results:
    """Each strategy, and again."""
    n, problems = (4, 4) if options.small else (N, options.problems or PROBLEMS)
    runs: list[Waited] = []
    async with parts(options) as (engine, verifier):
        await watched_run(work(options, "beam_search", 4, 2, seed=1000), engine, verifier)
        for repeat in options.turns:
            for strategy in STRATEGIES:
                before = counted(verifier)
                todo = work(options, strategy, n, problems, seed=repeat)
                watched = await watched_run(todo, engine, verifier)
                computed, distinct, _ = counted(verifier).since(before)
                waited = waiting_seconds(watched)
                runs.append(Waited(strategy, repeat, watched.seconds, waited, computed, distinct))
    return Results(n, problems, tuple(runs))


def waiting_seconds(watched: Watched) -> float:
    """How long something was being scored and nothing was being drawn, before the last draw."""
    _, end = watched.span
    drawing = [(sample.start, sample.end) for sample in watched.engine.drawn]
    scoring = [(first, min(last, end)) for first, last in watched.verifier.scored if first < end]
    return only_in_first(scoring, drawing)


def section(results: Results) -> Iterator[str]:
    """The part of the page."""
    yield (
        f"{results.problems} problems queued, n = {results.n}, m = {BEAM_WIDTH}. Computed are "
        "the positions that passed through the verifier's model, distinct the nodes of the prefix "
        "trees of all that it scored: 1 is every token once. The engine waits while something is "
        "being scored and nothing is being drawn."
    )
    yield ""
    rows = []
    for strategy in dict.fromkeys(run.strategy for run in results.runs):
        own = [run for run in results.runs if run.strategy == strategy]
        waits = Spread.of([100 * run.waiting_seconds / run.seconds for run in own])
        rows.append((strategy, _ratio(own), waits.shown(1)))
    yield from table(("strategy", "computed / distinct", "the engine waits, % of the time"), rows)


def _ratio(runs: list[Waited]) -> str:
    told = [run.computed / run.distinct for run in runs if run.computed and run.distinct]
    return Spread.of(told).shown(4) if told else "-"
