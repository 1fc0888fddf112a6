"""What a verifier computes, and how long the engine stands still for it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.setting import setting
from benchmarks.tables import table
from benchmarks.watching import Span, covered, only_in_first
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
    """From the first sample's start to the last trace."""
    waiting_seconds: float
    """Of these, those in which samples were being scored and none was being drawn."""
    computed: int | None
    """Positions that passed through the verifier's model; None: it has none."""
    distinct: int | None
    """Nodes of the prefix trees of all that it was asked for."""
    idle_share: float
    """Of the slots' time until the last sample ended: idle while something was being scored."""


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
                read = counted(verifier).since(before)
                waited = waiting_seconds(watched)
                idle = idle_share(watched, options.slots)
                runs.append(
                    Waited(
                        strategy,
                        repeat,
                        watched.seconds,
                        waited,
                        read.computed,
                        read.distinct,
                        idle,
                    )
                )
    return Results(n, problems, tuple(runs))


def waiting_seconds(watched: Watched) -> float:
    """How long something was being scored and nothing was being drawn."""
    drawing = [(sample.start, sample.end) for sample in watched.engine.drawn]
    return only_in_first(watched.verifier.scored, drawing)


def idle_share(watched: Watched, slots: int) -> float:
    """Of the time of all slots until the last sample ended: idle while something was scored.

    Not all of it is the verifier's: at a run's end there is less to draw than slots.
    """
    start, end = watched.drawing
    changes = Counter[float]()
    for sample in watched.engine.drawn:
        changes[sample.start] += 1
        changes[sample.end] -= 1
    idle, running, before = 0.0, 0, start
    scoring = covered(watched.verifier.scored)
    for at in sorted(changes):
        idle += max(slots - running, 0) * _inside(scoring, before, at)
        running, before = running + changes[at], at
    return idle / (slots * (end - start))


def _inside(spans: Sequence[Span], start: float, end: float) -> float:
    """Seconds from `start` to `end` that the spans, in order and apart, cover."""
    first = bisect_left(spans, start, key=lambda span: span[1])
    last = bisect_left(spans, end, key=lambda span: span[0])
    return sum(min(to, end) - max(since, start) for since, to in spans[first:last])


def section(results: Results, options: Options) -> Iterator[str]:
    """The part of the page."""
    yield (
        f"{results.problems} problems queued, n = {results.n}, m = {BEAM_WIDTH}. "
        f"{setting(options)} Computed are the positions that passed through the verifier's model, "
        "distinct the nodes of the prefix trees of all that it scored: 1 is every token once. "
        "The engine waits while something is "
        "being scored and nothing is being drawn; slots are idle, too, where less is to be drawn "
        "than there are slots, as in a run's last searches."
    )
    yield ""
    rows = []
    for strategy in dict.fromkeys(run.strategy for run in results.runs):
        own = [run for run in results.runs if run.strategy == strategy]
        waits = Spread.of([100 * run.waiting_seconds / run.seconds for run in own])
        idle = Spread.of([100 * run.idle_share for run in own])
        rows.append((strategy, _ratio(own), waits.shown(1), idle.shown(1)))
    heads = (
        "strategy",
        "computed / distinct",
        "the engine waits, % of the time",
        "slots idle while something is scored, %",
    )
    yield from table(heads, rows)


def _ratio(runs: list[Waited]) -> str:
    told = [run.computed / run.distinct for run in runs if run.computed and run.distinct]
    return Spread.of(told).shown(4) if told else "-"
