"""Many problems' prefixes through one verifier: several at once, failures as data, measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from ponder.evals.verifier_counts import NOTHING, Counted, counted
from ponder.runner import unwrapped
from ponder.session import SessionOptions
from ponder.session.billing import VerifierBill
from ponder.session.scoring import Scores, Scoring
from ponder.store.log import MemoryCallLog
from ponder.types import Prefix, Problem
from ponder.verifiers.base import Verifier

AT_ONCE = 16
"""Problems in flight: enough for a verifier to fill its batches."""


Item = TypeVar("Item")


class Asked(NamedTuple, Generic[Item]):
    """One solution, and what a verifier is asked about it."""

    item: Item
    """What the caller knows it by."""
    prefixes: tuple[Prefix, ...]
    """The whole of it, or each of its beginnings."""


class Batch(NamedTuple, Generic[Item]):
    """Solutions of one problem, asked about in one call."""

    problem: Problem
    asked: Sequence[Asked[Item]]


class Answered(NamedTuple, Generic[Item]):
    """One solution, and what the verifier said of each prefix."""

    item: Item
    answers: Sequence[Scores]


Done = Callable[[Problem, Sequence[Answered[Item]]], None]


class Watch(Protocol):
    """Sees how far the scoring is."""

    def expect(self, solutions: int) -> None:
        """So many more are to be scored."""
        ...

    def advance(self, solutions: int) -> None:
        """So many more are done, or have failed."""
        ...


class Pace(NamedTuple):
    """How fast a verifier was, and how much it did twice."""

    solutions: int = 0
    tokens: int | None = 0
    """Of the verifier's input, each node of a problem's prefix tree once; None: not told."""
    seconds: float = 0.0
    """Wall-clock time."""
    counted: Counted = NOTHING
    """What the verifier itself counted."""

    def after(self, other: Pace) -> Pace:
        """Both, one after the other."""
        return Pace(
            self.solutions + other.solutions,
            _sum(self.tokens, other.tokens),
            self.seconds + other.seconds,
            self.counted.plus(other.counted),
        )


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores batches through one verifier."""

    verifier: Verifier
    watch: Watch | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Once set, no further batch is begun, and those in flight end."""
    at_once: int = AT_ONCE

    def expect(self, solutions: int) -> None:
        """Tell the watch of solutions to come."""
        if self.watch is not None:
            self.watch.expect(solutions)

    async def score(self, batches: Iterable[Batch[Item]], done: Done[Item]) -> Pace:
        """Score all batches, at most `at_once` in flight; each is handed to `done` as it ends.

        What cannot be scored is a `ScoreFailure` among the answers. The iterable is read in a
        thread, a batch at a time. Raises what `done` or the iterable raises.
        """
        spent, before = Pace(), counted(self.verifier)
        start = time.perf_counter()
        free = asyncio.Semaphore(self.at_once)

        async def finish(batch: Batch[Item]) -> None:
            nonlocal spent
            try:
                answers = await self._answers(batch)
            finally:
                free.release()
            spent = spent.after(Pace(len(batch.asked), _tokens(batch, answers)))
            done(batch.problem, answers)
            if self.watch is not None:
                self.watch.advance(len(batch.asked))

        left = iter(batches)
        async with unwrapped(), asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                batch = None if self.stop.is_set() else await asyncio.to_thread(next, left, None)
                if batch is None:
                    break
                group.create_task(finish(batch))
        seconds = time.perf_counter() - start
        return spent._replace(seconds=seconds, counted=counted(self.verifier).since(before))

    async def _answers(self, batch: Batch[Item]) -> list[Answered[Item]]:
        scoring = Scoring(batch.problem, [self.verifier], MemoryCallLog(), SessionOptions())
        answers = iter(await scoring.score([p for asked in batch.asked for p in asked.prefixes]))
        return [Answered(item, [next(answers) for _ in own]) for item, own in batch.asked]


def _tokens(batch: Batch[Item], answered: Sequence[Answered[Item]]) -> int | None:
    """Tokens of the batch's prefix tree; None if any part of it is not told."""
    bill, total = VerifierBill(), 0
    for asked, one in zip(batch.asked, answered, strict=True):
        for prefix, answer in zip(asked.prefixes, one.answers, strict=True):
            added = bill.new_tokens(prefix, {"": answer})
            if added is None:
                return None
            total += added
    return total


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
