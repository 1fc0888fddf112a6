"""Reads token sequences of many problems with one model: each distinct token is computed once."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from ponder.backends.prefix_tree import Outputs, Reduced, TreeModel
from ponder.backends.problem_tree import Reading
from ponder.backends.tree_cache import TreeCache
from ponder.backends.tree_passes import Pass, ReadCounts, TreePasses
from ponder.errors import PonderError, UsageError, VerifierError
from ponder.types import Problem, ScoreFailure

LONGEST_WAIT = 0.005
"""Seconds that the first of several calls waits for others to join its pass."""
LONGEST_REASON = 300
"""Characters of a model's own error that are told."""


class _Call(NamedTuple):
    """One `read` that waits for its readings."""

    readings: list[Reading[Any]]
    answer: Future[None]

    @property
    def left(self) -> list[Reading[Any]]:
        return [reading for reading in self.readings if not reading.finished]


class TreeReader:
    """Merges concurrent calls of all problems into passes by tokens, in a thread of its own.

    A problem's tree of prefixes stays in the cache until the problem object is gone; over
    `cache_tokens`, the least recently used trees leave it and are computed again when needed.
    `tokens_a_pass` bounds what one call of the model computes. A model that is out of memory gets
    less of either; a call fails only if what it needs does not fit in alone, in the smallest pass.
    """

    def __init__(self, model: TreeModel[Any], *, tokens_a_pass: int, cache_tokens: int) -> None:
        for name, value in (("tokens_a_pass", tokens_a_pass), ("cache_tokens", cache_tokens)):
            if value < 1:
                raise UsageError(f"`{name}` must be at least 1, got {value}")
        self._longest = model.longest
        self._cache: TreeCache[Any] = TreeCache(cache_tokens)
        self._passes = TreePasses(model, self._cache, tokens_a_pass)
        self._arrived: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        return self._passes.counts

    async def read(
        self, problem: Problem, sequences: Sequence[Sequence[int]]
    ) -> list[Outputs | ScoreFailure]:
        """One [tokens, width] array a sequence, in order, as `reduced` says.

        All of them are held until the last one is read.
        """
        return await self.reduced(problem, [(sequence, _whole) for sequence in sequences])

    async def reduced(
        self,
        problem: Problem,
        asked: Sequence[tuple[Sequence[int], Callable[[Outputs], Reduced]]],
    ) -> list[Reduced | ScoreFailure]:
        """What each sequence's function makes of its outputs [tokens, width], in order.

        The functions are called one at a time, in the reader's thread, as the sequences are read:
        outputs that they do not keep are held for one sequence only. A sequence that is empty, or
        longer than the model can read, is a `ScoreFailure`, and the others are read all the same.
        Raises VerifierError where the model fails on a pass that holds any of them, memory is out,
        or the reader is closed, and what a function raises.
        """
        found: dict[int, Reduced | ScoreFailure] = {}
        tree, readings = self._cache.tree(problem), list[Reading[Any]]()
        for number, (sequence, reduce) in enumerate(asked):
            failure = self._unreadable(sequence)
            if failure is None:
                take = partial(_take, found, number, reduce)
                readings.append(Reading(problem, tree, sequence, take))
            else:
                found[number] = failure
        if readings:
            call = _Call(readings, Future())
            self._submit(call)
            await asyncio.wrap_future(call.answer)
        return [found[number] for number in range(len(asked))]

    async def aclose(self) -> None:
        """End the thread after the pass that it is in; calls that still wait raise."""
        with self._starting:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._arrived.put(None)
            await asyncio.to_thread(thread.join)

    def _unreadable(self, sequence: Sequence[int]) -> ScoreFailure | None:
        if not len(sequence):
            return ScoreFailure("there are no tokens to read")
        if len(sequence) > self._longest:
            tokens = f"{len(sequence)} tokens are more than the {self._longest}"
            return ScoreFailure(f"{tokens} that the model can read")
        return None

    def _submit(self, call: _Call) -> None:
        with self._starting:
            if self._closed:
                raise VerifierError("the reader of this model is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tree-reader", daemon=True)
                self._thread.start()
            self._arrived.put(call)

    def _run(self) -> None:
        """Read what arrives until closed; whatever ends the thread, no caller is left waiting."""
        calls: list[_Call] = []
        try:
            while not self._closed and self._gather(calls):
                self._advance(calls)
                calls[:] = [call for call in calls if _waits(call)]
        finally:
            with self._starting:
                self._closed = True
            while not self._arrived.empty():
                calls.extend(filter(None, [self._arrived.get()]))
            for call in calls:
                _fail(call, VerifierError("the reader of this model was closed"))
            self._cache.clear()

    def _gather(self, calls: list[_Call]) -> bool:
        """Add what has arrived, and wait only if there is nothing to do; False when closed."""
        until = time.monotonic()
        if not calls:
            first = self._arrived.get()
            if first is None:
                return False
            calls.append(first)
            until = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                arrived = self._arrived.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return True
            if arrived is None:
                return False
            calls.append(arrived)

    def _advance(self, calls: Sequence[_Call]) -> None:
        """Make one pass for the calls that wait: those under way, then the oldest problem's."""
        waiting = sorted(filter(_waits, calls), key=_turn)
        planned = self._passes.plan([reading for call in waiting for reading in call.left])
        # Known tokens are taken before the pass: if it fails, its trees are dropped.
        self._answer(waiting)
        if not planned.ends or not all(reading.admitted for reading in planned.readings):
            return
        failure = self._compute(planned)
        if failure is None:
            self._answer(waiting)
            return
        for call in waiting:
            if any(reading in planned.readings for reading in call.readings):
                _fail(call, VerifierError(failure))

    def _compute(self, planned: Pass[Any]) -> str | None:
        """Why the pass failed, in one line; None also where it is tried with less in memory."""
        try:
            return self._within_memory(partial(self._passes.compute, planned))
        except Exception as error:  # noqa: BLE001  (whatever a model raises fails its pass)
            return _line(error)

    def _answer(self, calls: Sequence[_Call]) -> None:
        """Finish the calls that have all their outputs; one that cannot take them fails alone."""
        for call in calls:
            try:
                failure = self._within_memory(partial(self._finish, call))
            except Exception as error:  # noqa: BLE001  (a caller's own function raised it)
                _fail(call, error)
            else:
                if failure is not None:
                    _fail(call, VerifierError(failure))

    def _finish(self, call: _Call) -> None:
        """Give out what is there, and the answer, unless the call was cancelled just now."""
        unfinished = [reading for reading in call.left if not self._passes.finish(reading)]
        if not unfinished and not call.answer.done() and call.answer.set_running_or_notify_cancel():
            call.answer.set_result(None)

    def _within_memory(self, work: Callable[[], None]) -> str | None:
        """Do it. Why memory is out, in one line; None also where it can be tried with less."""
        try:
            work()
        except MemoryError as error:
            failure = _line(error)
        else:
            return None
        # Only here, where the error's frames no longer hold on to the memory.
        return None if self._passes.relieve() else failure


def _whole(outputs: Outputs) -> Outputs:
    return outputs


def _take(
    found: dict[int, Reduced | ScoreFailure],
    number: int,
    reduce: Callable[[Outputs], Reduced],
    outputs: Outputs,
) -> None:
    found[number] = reduce(outputs)


def _turn(call: _Call) -> tuple[bool, int]:
    """What a call is served by; one whose slots are taken goes before those that need its room."""
    under_way = any(reading.admitted for reading in call.left)
    return not under_way, call.readings[0].tree.number


def _waits(call: _Call) -> bool:
    """It has no answer yet; one that was answered or cancelled no longer holds its trees."""
    if call.answer.done():
        for reading in call.readings:
            reading.leave()
        return False
    return True


def _fail(call: _Call, error: Exception) -> None:
    for reading in call.readings:
        reading.leave()
    if not call.answer.done() and call.answer.set_running_or_notify_cancel():
        call.answer.set_exception(error)


def _line(error: BaseException) -> str:
    reason = " ".join(str(error).split())[:LONGEST_REASON]
    told = reason if isinstance(error, PonderError) else f"{type(error).__name__}: {reason}"
    return f"the model failed on a pass: {told}".rstrip(": ")
