"""Many problems at once: nothing is lost, memory is bounded, and speed changes no trace."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ponder.engines.scripted import Reply
from ponder.runner import UNKEPT, Job, run
from ponder.session import Slots
from ponder.store.run import RunStore
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Decision, Node, Trace
from ponder.types import Example, Prefix, Problem, Sample, Sampling
from tests.playing import World, drawn, reasons, tasks_left

STEPS = Sampling(separator="\n\n")
SLOTS = 32


def fails_once_in_a_hundred(prefix: Prefix, seed: int) -> str | Reply:
    said = reasons(prefix, seed)
    failed = drawn("fail", prefix.key, seed).random() < 0.01
    return Reply(said, error="out of memory") if failed else said


@dataclass
class Watch:
    """Which problems are open, and what they hold while they are."""

    begun: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    """Those whose search has chosen; until its trace is on the disk a problem is not done."""
    most_open: int = 0
    ended: list[str] = field(default_factory=list)
    begun_when_first_answered: int = 0
    held: list[int] = field(default_factory=list)
    """Samples and nodes in memory, each time a quarter of the problems has ended."""
    problems: int = 0

    def on_node(self, problem_id: str, node: Node) -> None:
        self.begun.add(problem_id)
        self.most_open = max(self.most_open, len(self.begun - self.answered))

    def on_decision(self, problem_id: str, decision: Decision) -> None:
        if decision.kind == "chosen":
            self.begun_when_first_answered = self.begun_when_first_answered or len(self.begun)
            self.answered.add(problem_id)

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:
        self.answered.add(problem_id)
        self.ended.append(problem_id)
        if len(self.ended) % (self.problems // 4) == 0:
            self.held.append(samples_in_memory())


def samples_in_memory() -> int:
    """Of all problems."""
    gc.collect()
    return sum(isinstance(one, Node | Sample) for one in gc.get_objects())


async def digests(folder: Path, strategy: Strategy, problems: int, order: int) -> dict[str, str]:
    """Solve so many problems with the latencies of `order`; what each did."""
    world = World(order, fails_once_in_a_hundred, slots=SLOTS)
    watch, slots, before = Watch(problems=problems), Slots(SLOTS), tasks_left()
    others = samples_in_memory()
    names = [f"p{number:04}" for number in range(problems)]
    with RunStore.open(folder, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(Problem.ask("What is it?", name), "1") for name in names])
        method = world.method(strategy)
        await run([Job(Problem.ask("What is it?", n), method, store, watch) for n in names], slots)
        assert sorted(watch.ended) == names
        largest = max(len(trace.nodes) for trace in store.traces())
        check_bounds(watch, problems, largest)
        assert samples_in_memory() == others
        assert (slots.free, world.engine.running) == (SLOTS, 0)
        assert tasks_left() == before
        failed = [node for trace in store.traces() for node in trace.nodes if node.error]
        assert failed
        return store.digests()


def check_bounds(watch: Watch, problems: int, largest: int) -> None:
    """A problem is opened only while slots are free, so few are open however many there are.

    `largest`: nodes of the largest problem; what is open holds a node and a sample of each, and
    what waits for the disk is bounded.
    """
    assert watch.most_open <= SLOTS
    assert 0 < watch.begun_when_first_answered < problems
    assert len(watch.held) == 4
    assert max(watch.held) <= 2 * SLOTS * largest + UNKEPT + largest


STRATEGIES: Sequence[tuple[Strategy, int]] = (
    (RepeatedSampling(n=8, selector="weighted"), 40),
    (RepeatedSampling(n=16, stopping="exact", wave=4), 40),
    (BeamSearch(n=8, beam_width=4, sampling=STEPS), 40),
    (DiverseVerifierTreeSearch(n=8, beam_width=4, sampling=STEPS), 40),
)
FULL: Sequence[tuple[Strategy, int]] = (
    (RepeatedSampling(n=64, selector="weighted"), 1000),
    (RepeatedSampling(n=64, stopping="exact", wave=8), 1000),
    (BeamSearch(n=64, beam_width=4, sampling=STEPS), 1000),
    (DiverseVerifierTreeSearch(n=64, beam_width=4, sampling=STEPS), 1000),
)


@pytest.mark.parametrize(
    ("strategy", "problems"),
    [*STRATEGIES, *(pytest.param(*size, marks=pytest.mark.long) for size in FULL)],
    ids=lambda value: f"{value}" if isinstance(value, int) else f"{value.name}-{value.n}",
)
async def test_the_same_traces_at_any_speed(
    tmp_path: Path, strategy: Strategy, problems: int
) -> None:
    still = await digests(tmp_path / "still", strategy, problems, order=0)
    assert len(still) == problems
    seed = random.Random(problems).randint(1, 1000)
    assert await digests(tmp_path / "random", strategy, problems, order=seed) == still
