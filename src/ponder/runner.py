"""Many problems: opens them as slots come free, resumes, replays."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Final, Protocol

from ponder.answers.base import AnswerKind, kind_for
from ponder.answers.remembered import RememberedAnswers
from ponder.budget import Budget
from ponder.engines.base import Engine
from ponder.engines.replay import ReplayEngine
from ponder.errors import PonderError, ReplayError
from ponder.recipes import Recipe
from ponder.recipes.registry import open_engine
from ponder.session import Observer, ProblemSession, SessionOptions, Slots
from ponder.session.calls import unpack_scores
from ponder.store.base import CallKey, CallLog, CallRecord
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.strategies.base import Strategy
from ponder.trace import Trace
from ponder.types import Problem, ScoreFailure
from ponder.verifiers.base import Verifier
from ponder.verifiers.replay import ReplayVerifier

UNKEPT: Final = 4096
"""Nodes of solved problems that may wait for the disk before no further problem is opened."""


@dataclass(frozen=True, slots=True)
class Method:
    """What is done to each problem of a run."""

    strategy: Strategy
    engine: Engine
    verifiers: Sequence[Verifier]
    answers: AnswerKind
    options: SessionOptions = SessionOptions()
    budget: Callable[[str], Budget] | None = None
    """The budget of a problem by its id, where problems have budgets of their own."""


class RunObserver(Observer, Protocol):
    """A live view of a whole run."""

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:
        """A problem's trace is committed."""
        ...


class Gate(Protocol):
    """Says when a problem may be opened."""

    async def admitted(self, job: Job) -> None:
        """Wait until the job may be opened, or until no job may be and the run is stopped."""
        ...

    def finished(self, job: Job) -> None:
        """An opened job is done, and its observer knows."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One problem, how to solve it, and where its trace goes."""

    problem: Problem
    method: Method
    store: RunStore
    observer: RunObserver | None = None
    """A live view of it."""


@asynccontextmanager
async def opened(
    recipe: Recipe, announce: Callable[[str], None]
) -> AsyncIterator[tuple[Engine, Slots]]:
    """The recipe's engine, closed at the end, and its slots; a busy server halves them."""
    slots: list[Slots] = []
    engine = await open_engine(recipe, announce, lambda: slots[0].busy() if slots else None)
    slots.append(Slots(engine.capabilities.slots))
    try:
        yield engine, slots[0]
    finally:
        await engine.aclose()


async def solve(
    problem: Problem,
    method: Method,
    log: CallLog,
    slots: Slots,
    *,
    rank: int = 0,
    observer: Observer | None = None,
) -> Trace:
    """Solve one problem; the log answers what it knows already."""
    options = replace(method.options, rank=rank)
    problem = replace(problem)  # what verifiers hold of a problem goes with its object: at the end
    if method.budget is not None:
        options = replace(options, budget=method.budget(problem.id))
    async with (
        unwrapped(),
        ProblemSession(
            problem,
            method.engine,
            method.verifiers,
            kind_for(method.answers, problem),
            log,
            slots,
            options,
            observer,
        ) as session,
    ):
        return await method.strategy.solve(problem, session)


async def run(
    jobs: Iterable[Job],
    slots: Slots,
    stop: asyncio.Event | None = None,
    gate: Gate | None = None,
) -> None:
    """Solve all jobs, the first ones first, a new one opened only while slots are free.

    A `gate` is asked before each. Setting `stop` opens no further problem and lets the open ones
    end. Raises the first error that is not a recorded failure; what was finished before is kept.
    """
    solving: set[int] = set()  # ranks of the problems without a trace
    backlog = _Backlog()
    async with unwrapped(), asyncio.TaskGroup() as group:
        for rank, job in enumerate(jobs):
            await job.store.recall(job.problem.id)
            await backlog.room.wait()
            await slots.vacancy()
            if gate is not None:
                await gate.admitted(job)
            if stop is not None and stop.is_set():
                return
            solving.add(rank)
            task = group.create_task(_finish(job, slots, rank, solving, backlog, gate))
            await slots.asked(rank, task)


class _Backlog:
    """Traces on their way to the disk, which may be slower than the engine: a bounded number."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        """Set while another problem may be opened."""
        self.room.set()
        self._nodes = 0

    @contextmanager
    def holding(self, nodes: int) -> Iterator[None]:
        """A trace of so many nodes is being kept."""
        self._add(nodes)
        try:
            yield
        finally:
            self._add(-nodes)

    def _add(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes < UNKEPT:
            self.room.set()
        else:
            self.room.clear()


async def _finish(
    job: Job, slots: Slots, rank: int, solving: set[int], backlog: _Backlog, gate: Gate | None
) -> None:
    trace = await solve(
        job.problem, job.method, job.store.log, slots, rank=rank, observer=job.observer
    )
    solving.discard(rank)
    with backlog.holding(len(trace.nodes)):
        await job.store.finish(trace, last=lambda: not solving)
    if job.observer is not None:
        job.observer.on_problem_done(job.problem.id, trace)
    if gate is not None:
        gate.finished(job)


def unfinished(store: RunReader, problems: Iterable[Problem], n: int) -> list[Problem]:
    """The problems left to do at `n`: without a trace, with one of another n, or all failed.

    Those of which a verifier could score nothing, too: their samples are in the call log.
    """
    done = {
        trace.problem_id
        for trace in store.traces()
        if trace.n == n and not all_failed(trace) and not unscored(trace)
    }
    return [problem for problem in problems if problem.id not in done]


def all_failed(trace: Trace) -> bool:
    """Every sample of the problem failed."""
    return bool(trace.nodes) and all(node.error is not None for node in trace.nodes)


def unscored(trace: Trace) -> bool:
    """Some verifier was asked and could score nothing of the problem."""
    scores = [own for node in trace.nodes for own in node.scores.items()]
    return {name for name, _ in scores} != {name for name, own in scores if own is not None}


def why_unscored(calls: Mapping[CallKey, CallRecord]) -> str:
    """The first reason in a problem's calls that a verifier gave for having no score; else "-"."""
    scored = (unpack_scores(call) for key, call in calls.items() if key.kind == "score")
    return next((scores.reason for scores in scored if isinstance(scores, ScoreFailure)), "-")


async def replay(store: RunReader, method: Method) -> AsyncIterator[tuple[Trace, Trace]]:
    """Each finished problem's trace, and the trace that its recorded calls give now.

    `method` has the strategy of the run, a `ReplayEngine` and `ReplayVerifier`s; nothing is
    generated, scored or parsed. Calls that were ended midway are not recorded and change nothing;
    raises ReplayError where one that is not recorded changes the trace.
    """
    finished = store.finished()
    for example in store.examples():
        if example.problem.id not in finished:
            continue
        kept = store.trace(example.problem.id)
        await asyncio.to_thread(store.log.load, kept.problem_id)
        known = [candidate.answer for candidate in kept.candidates if candidate.answer]
        again = replace(
            method,
            answers=RememberedAnswers(kind_for(method.answers, example.problem), known),
            options=replace(
                method.options,
                failures_from_log=True,
                clock=_over() if kept.stopped == "deadline" else method.options.clock,
            ),
        )
        trace = await solve(example.problem, again, _Recorded(store.log), Slots(1))
        if trace.digest() != kept.digest():
            _check_recorded(method)
        yield kept, trace
        store.log.forget(kept.problem_id, store.log.appended(kept.problem_id))


def _over() -> Callable[[], float]:
    """A clock on which all time is over once it was looked at: what is not recorded, came late."""
    times = chain([0.0], repeat(sys.float_info.max))
    return lambda: next(times)


class _Recorded:
    """The call log of a replay, which adds nothing to it."""

    def __init__(self, log: CallLog) -> None:
        self.get = log.get

    def put(self, key: CallKey, record: CallRecord) -> None:
        pass


def _check_recorded(method: Method) -> None:
    """Raise ReplayError naming the first call that the log did not answer, if there is one."""
    for part in (method.engine, *method.verifiers):
        if isinstance(part, ReplayEngine | ReplayVerifier) and part.unrecorded:
            raise ReplayError(f"{part.unrecorded}: the strategy or its knobs changed")


@asynccontextmanager
async def unwrapped() -> AsyncIterator[None]:
    """Raise the first error of ponder instead of the group of task groups that it came in.

    Or the first of the file system, which names its file, where there is none of ponder.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        errors = group.subgroup(PonderError) or group.subgroup(OSError)
        if errors is None:
            raise
        raise first_error(errors) from None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception inside nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
