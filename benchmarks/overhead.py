"""What ponder itself costs a node, on an engine and a verifier that cost nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scripted
from benchmarks.calibration import ITEMS, ItemTime, item_time, record_of
from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.tables import table
from ponder.runner import Job, Method, run
from ponder.session import Slots
from ponder.store.run import RunStore

NAME = "overhead"
GOAL_RATIO = 4.0
GOAL_GROWTH = 1.3
WIDTHS = (4, 16, 64, 256, 1024)
SAMPLES = 1024
"""Of each run over `WIDTHS`: the fewer a problem, the more problems."""
MANY = (1, 10, 100, 1000)
"""Problems, at the smallest n."""


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One run."""

    strategy: str
    n: int
    problems: int
    nodes: int
    seconds: float
    """From the first problem's opening to the last trace's commit."""
    processor_seconds: float
    """Of all threads of the process."""
    item: ItemTime
    """Of the calibration loop: half of its turns just before the run, half just after."""

    @property
    def ratio(self) -> float:
        """A node's time in items."""
        return self.seconds / self.nodes / self.item.seconds

    @property
    def processor_ratio(self) -> float:
        """The same of processor time."""
        return self.processor_seconds / self.nodes / self.item.processor_seconds


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """What one problem's nodes hold at once, at the largest n."""

    strategy: str
    n: int
    nodes: int
    bytes_a_node: float
    """The peak of Python's allocations while the problem is solved and kept."""


@dataclass(frozen=True, slots=True)
class Results:
    """All runs, every repeat of each."""

    times: tuple[NodeTime, ...]
    memory: tuple[NodeMemory, ...]


async def measure(options: Options) -> Results:
    """All strategies over all sizes, in turns."""
    widths, samples, many = ((4, 16), 16, (1, 2)) if options.small else (WIDTHS, SAMPLES, MANY)
    cases = [(n, max(samples // n, 1)) for n in widths] + [(widths[0], count) for count in many]
    items = 100 if options.small else ITEMS
    records = {name: await _record(name) for name in scripted.strategies(4)}
    times = [
        await _time(name, n, problems, records[name], items)
        for _ in options.turns
        for n, problems in cases
        for name in records
    ]
    memory = [await _memory(name, widths[-1]) for name in records]
    return Results(tuple(times), tuple(memory))


async def _record(strategy: str) -> list[object]:
    """A node's record; also a warm-up."""
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        await solve(scripted.method(scripted.strategies(4)[strategy]), 1, store)
        return record_of(store)


async def _time(strategy: str, n: int, problems: int, record: list[object], items: int) -> NodeTime:
    method = scripted.method(scripted.strategies(n)[strategy])
    before = await item_time(record, items // 2)
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        processor, started = time.process_time(), time.perf_counter()
        await solve(method, problems, store)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        item = before.between(await item_time(record, items // 2))
        nodes = sum(len(trace.nodes) for trace in store.traces())
    return NodeTime(strategy, n, problems, nodes, seconds, processor, item)


async def _memory(strategy: str, n: int) -> NodeMemory:
    method = scripted.method(scripted.strategies(n)[strategy])
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await solve(method, 1, store)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        nodes = sum(len(trace.nodes) for trace in store.traces())
    return NodeMemory(strategy, n, nodes, (peak - before) / nodes)


async def solve(method: Method, problems: int, store: RunStore) -> None:
    """Solve so many problems into a run."""
    jobs = [Job(problem, method, store) for problem in scripted.problems(problems)]
    await run(jobs, Slots(method.engine.capabilities.slots))
    await asyncio.to_thread(method.answers.close)


def open_store(folder: str) -> RunStore:
    """A run in an empty folder."""
    return RunStore.open(Path(folder), study={}, host={}, recipe_toml="")


_REASON = (
    "Timed once by hand at n = 4 (AMD EPYC, commit `54387b2`): a node of a beam search took "
    "183 µs, 151 without the transactions, 137 without the trace's record too, and 115 with no "
    "store at all, where an item took 24 µs. So 4.8 items are the search's own awaits, names and "
    "records in Python, spread thinly over many functions: see the profile. Rows with few nodes "
    "carry more."
)


def section(results: Results, _options: Options) -> Iterator[str]:
    """The part of the page."""
    yield (
        "A node is one sample of a scripted engine without latency: drawn, scored by a scripted "
        "verifier, ranked, kept in the call log and in the trace of a run on disk. Its time is "
        f"told in items of a calibration loop in the same process: {ITEMS:,} turns, each of which "
        "awaits `asyncio.sleep(0)` once and makes the JSON of what the run keeps of such a node "
        "(its sample call, its score call, its place in the trace). Half of the turns come before "
        "the run and half after it. The garbage collector looks as seldom as on ponder's command "
        "line, which counts for both."
    )
    yield ""
    yield (
        f"Goals: at most {GOAL_RATIO:g} items a node; from n = {WIDTHS[0]} to n = {WIDTHS[-1]} "
        f"the time of a node grows by at most {GOAL_GROWTH:g} times. A run ends with the commit "
        "of its last trace. Few nodes also carry what a run and a problem cost once."
    )
    yield ""
    yield from table(
        (
            "strategy",
            "n",
            "problems",
            "nodes",
            "items a node",
            "goal",
            "of processor time",
            "µs a node",
        ),
        map(_row, _grouped(results.times)),
    )
    yield from _missed(results)
    yield ""
    yield from table(
        ("strategy", "a node's time, largest over smallest n", "goal", "bytes a node"),
        (_growth_row(results, name) for name in dict.fromkeys(m.strategy for m in results.memory)),
    )


def _missed(results: Results) -> Iterator[str]:
    """How many medians miss the goal, and why."""
    groups = _grouped(results.times)
    medians = [Spread.of([taken.ratio for taken in group]).median for group in groups]
    over = [median for median in medians if median > GOAL_RATIO]
    if over:
        yield ""
        yield (
            f"Over the goal: {len(over)} of {len(medians)} rows, by medians of {min(over):.1f} to "
            f"{max(over):.1f}. {_REASON}"
        )


def _grouped(times: Iterable[NodeTime]) -> list[list[NodeTime]]:
    """The repeats of each run together, in the order of the first."""
    groups: dict[tuple[str, int, int], list[NodeTime]] = {}
    for taken in times:
        groups.setdefault((taken.strategy, taken.n, taken.problems), []).append(taken)
    return sorted(groups.values(), key=lambda group: group[0].strategy)


def _row(group: list[NodeTime]) -> tuple[object, ...]:
    first = group[0]
    micros = Spread.of([taken.seconds / taken.nodes * 1e6 for taken in group])
    ratio = Spread.of([taken.ratio for taken in group])
    processor = Spread.of([taken.processor_ratio for taken in group])
    place = (first.strategy, first.n, first.problems, first.nodes)
    return (*place, ratio.shown(1), f"{GOAL_RATIO:g}", processor.shown(1), micros.shown(0))


def _growth_row(results: Results, strategy: str) -> tuple[object, ...]:
    growth = Spread.of(growths(results.times, strategy))
    memory = Spread.of([m.bytes_a_node for m in results.memory if m.strategy == strategy])
    return (strategy, growth.shown(), f"{GOAL_GROWTH:g}", memory.shown(0))


def growths(times: Iterable[NodeTime], strategy: str) -> list[float]:
    """A node's time at the largest n over the one at the smallest, repeat by repeat.

    Of the runs at the smallest n, those with the most samples near those of the largest count.
    """
    own = [group for group in _grouped(times) if group[0].strategy == strategy]
    largest = max(own, key=lambda group: group[0].n)
    smallest_n = min(group[0].n for group in own)
    smallest = min(
        (group for group in own if group[0].n == smallest_n),
        key=lambda group: abs(group[0].nodes - largest[0].nodes),
    )
    return [
        (big.seconds / big.nodes) / (small.seconds / small.nodes)
        for big, small in zip(largest, smallest, strict=True)
    ]
