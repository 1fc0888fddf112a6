"""Beam search against the same search in lock-step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.alone import seconds_alone
from benchmarks.bare import ROUNDS, rates_at, read_prompts
from benchmarks.bound import Drawn, RateCurve
from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.setting import setting
from benchmarks.tables import table
from benchmarks.watching import WatchedEngine
from benchmarks.workload import ANSWERS, BEAM_WIDTH, Work, again, parts, watched_run, work
from ponder.answers.registry import answer_kind
from ponder.engines.base import Engine
from ponder.evals.study import method_of
from ponder.runner import solve, unwrapped
from ponder.session import Slots
from ponder.store.log import MemoryCallLog
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import Verifier, VerifierInfo

NAME = "lockstep"
GOALS = {4: 5.0, 16: 2.5, 64: 2.0}
"""By n, with a learned verifier: how many times faster a token."""
PROBLEMS = {4: 24, 16: 12, 64: 4}
"""By n."""


class WholePrefixes:
    """The verifier inside, which is made to read each prefix from its beginning every time.

    Each prefix of a call belongs to a problem object of its own, so nothing that was computed for
    another one, or for its beginning, is used. The prefixes of a call are asked for at once; where
    the verifier's model takes one tree an inference, as on OpenVINO, each is an inference.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    @property
    def info(self) -> VerifierInfo:
        """The verifier's own."""
        return self._verifier.info

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """The scores of all prefixes."""
        async with unwrapped(), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._verifier.score(alone, [again(prefix, alone)]))
                for prefix in prefixes
                for alone in [replace(problem)]
            ]
        return [task.result()[0] for task in tasks]

    async def aclose(self) -> None:
        """Whoever opened the verifier closes it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One run over all problems."""

    n: int
    problems: int
    repeat: int
    how: str
    """`ponder` or `lockstep`."""
    tokens: int
    """Generated."""
    seconds: float
    """From the first sample's start to the last problem's answer, for `ponder` on the disk."""
    verifier_seconds: float | None = None
    """What the verifier takes for the same prefixes with nothing beside it, each token once; None:
    not measured, as in lock-step."""

    @property
    def token_seconds(self) -> float:
        """Time a generated token."""
        return self.seconds / self.tokens


@dataclass(frozen=True, slots=True)
class Results:
    """Runs in turns, one of each kind after the other."""

    slots: int
    runs: tuple[Taken, ...]
    rates: tuple[tuple[tuple[int, float], ...], ...]
    """The bare engine's, one a repeat: (sequences at once, tokens a second), n and all slots."""


async def measure(options: Options) -> Results:
    """For each n both ways, and again."""
    sizes = {4: 2} if options.small else PROBLEMS
    runs: list[Taken] = []
    rates: list[RateCurve] = []
    async with parts(options) as (engine, verifier):
        await watched_run(work(options, "beam_search", 4, 2, seed=1000), engine, verifier)
        for repeat in options.turns:
            bare = work(options, "sample", 8, max(PROBLEMS.values()), seed=2000 + repeat)
            await read_prompts(engine, bare)
            counts, rounds = sorted({*sizes, options.slots}), 1 if options.small else ROUNDS
            rates.append(await rates_at(engine, bare, counts, rounds=rounds))
            for n, own in sizes.items():
                problems = options.problems or own
                for how in ("ponder", "lockstep"):
                    todo = work(options, "beam_search", n, problems, seed=repeat)
                    taken = await _take(how, todo, engine, verifier, options.slots // n or 1)
                    runs.append(Taken(n, problems, repeat, how, *taken))
    return Results(options.slots, tuple(runs), tuple(curve.points for curve in rates))


async def _take(
    how: str, todo: Work, engine: Engine, verifier: Verifier, at_once: int
) -> tuple[int, float, float | None]:
    """Tokens, seconds, and the verifier's own."""
    if how == "ponder":
        watched = await watched_run(todo, engine, verifier)
        alone = await seconds_alone(verifier, watched.verifier.asked, "beam_search", at_once)
        return watched.tokens, watched.seconds, alone
    drawn, end = await in_lockstep(todo, engine, verifier)
    seconds = end - min(sample.start for sample in drawn)
    return sum(sample.tokens for sample in drawn), seconds, None


async def in_lockstep(
    todo: Work, engine: Engine, verifier: Verifier
) -> tuple[Sequence[Drawn], float]:
    """The same search, one problem at a time, whole prefixes: its samples, and when it ended.

    Nothing is written to a disk.

    Within a problem a beam search draws its n samples together and then scores them together; the
    engine keeps its prefix cache.
    """
    watched = WatchedEngine(engine)
    answers = answer_kind(ANSWERS)
    method = method_of(todo.recipe, watched, [WholePrefixes(verifier)], answers)
    method = replace(method, options=replace(method.options, early=False))
    slots = Slots(todo.recipe.host.slots or engine.capabilities.slots)
    for problem in todo.problems:
        await solve(problem, method, MemoryCallLog(), slots)
    end = time.perf_counter()
    await asyncio.to_thread(answers.close)
    return watched.drawn, end


_LOCKSTEP = (
    "In lock-step the same search on the same engine and verifier takes one problem at a time, "
    "draws the next step of all its beams together, then scores them together, and the verifier "
    "reads every whole prefix again; it keeps the engine's prefix cache and writes nothing down."
)
_MOST = (
    "The estimate of the most on shared processors: the time of lock-step over that of the bare "
    "engine with all slots and of the verifier by itself, each token read once, together. The "
    "parts differ from run to run, so a run may exceed it."
)
_OVERLAP = (
    ", and what it reads while the engine draws: on a CPU vLLM reserves a core for its front end, "
    "of two cores one, where the verifier may compute beside the engine's model."
)
_INFERENCES = (
    "OpenVINO runs one inference for each tree, so here one for each prefix. Larger ones would "
    "gain little: timed once by hand, at commit `3eb5905` on two cores of an AMD EPYC beside other "
    "work, a token of SmolLM2-135M in float32, without any in a cache, takes 8.5 ms in inferences "
    "of 8 tokens, 6.0 of 16, 5.0 of 32, 4.3 of 64, 3.7 of 128 and of 256, 4.1 of 512. Whole "
    "prefixes are longer than 32 tokens, and from there on a quarter is to be gained at most."
)


def section(results: Results, options: Options) -> Iterator[str]:
    """The part of the page."""
    apart = options.engine == "vllm"
    yield f"Beam search, m = {BEAM_WIDTH}. {setting(options)}"
    yield ""
    yield f"{_LOCKSTEP} {_INFERENCES if options.verifier == 'value-head' else ''}".rstrip()
    yield ""
    yield (
        "Both solve the same problems from the same seeds; ponder queues them all. What the bare "
        f"engine gains from {results.slots} sequences at once over n, in the same run, is all that "
        "can be gained by queueing problems; the rest is what the verifier no longer reads again"
        f"{_OVERLAP if apart else f'. {_MOST}'}"
    )
    yield ""
    sizes = list(dict.fromkeys(run.n for run in results.runs))
    yield from table(
        (
            "n",
            "problems",
            "times faster a token",
            "goal with a learned verifier",
            "ponder, ms a token",
            "lock-step, ms a token",
            f"the bare engine, {results.slots} over n",
            "estimate of the most, on shared processors",
        ),
        (_row(results, n, shared=not apart) for n in sizes),
    )
    below = [n for n in sizes if n in GOALS and Spread.of(_faster(results, n)).median < GOALS[n]]
    if below and options.verifier != "arithmetic":
        yield ""
        yield _missed(results, below, shared=options.engine == "embedded")


def _missed(results: Results, below: Sequence[int], *, shared: bool) -> str:
    """Which medians are below the goal, and why."""
    told = ", ".join(f"{_median(_faster(results, n))} at n = {n}" for n in below)
    if not shared:
        return f"Below the goal: {told}. The reason was not measured."
    most = ", ".join(_median(_most(results, n)) for n in below)
    gained = ", ".join(_median(_queueing(results, n)) for n in below)
    return (
        f"Below the goal: {told}. Engine and verifier compute on the same processors, where the "
        f"estimates of the most are {most}: queueing alone gains the engine {gained}, and the "
        "verifier's time cannot be hidden behind the engine's."
    )


def _median(values: Sequence[float]) -> str:
    return f"{Spread.of(values).median:.2f}" if values else "-"


def _runs(results: Results, n: int, how: str) -> list[Taken]:
    return [run for run in results.runs if run.n == n and run.how == how]


def _faster(results: Results, n: int) -> list[float]:
    pairs = zip(_runs(results, n, "ponder"), _runs(results, n, "lockstep"), strict=True)
    return [theirs.token_seconds / ours.token_seconds for ours, theirs in pairs]


def _queueing(results: Results, n: int) -> list[float]:
    """The bare engine with all slots over n."""
    return [dict(points)[results.slots] / dict(points)[n] for points in results.rates]


def _most(results: Results, n: int) -> list[float]:
    """What can be gained where engine and verifier compute in turns, estimated."""
    ours, theirs = (_runs(results, n, how) for how in ("ponder", "lockstep"))
    return [
        b.token_seconds / (1 / dict(points)[results.slots] + a.verifier_seconds / a.tokens)
        for a, b, points in zip(ours, theirs, results.rates, strict=True)
        if a.verifier_seconds is not None
    ]


def _row(results: Results, n: int, *, shared: bool) -> tuple[object, ...]:
    ways = [_runs(results, n, how) for how in ("ponder", "lockstep")]
    times = [Spread.of([run.token_seconds * 1000 for run in way]).shown() for way in ways]
    most = _most(results, n) if shared else []
    return (
        n,
        ways[0][0].problems,
        Spread.of(_faster(results, n)).shown(),
        f"{GOALS[n]:g}" if n in GOALS else "-",
        *times,
        Spread.of(_queueing(results, n)).shown(),
        Spread.of(most).shown() if most else "-",
    )
