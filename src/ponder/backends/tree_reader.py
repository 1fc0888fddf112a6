"""Reads token sequences of many problems with one model: each distinct token is computed once."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from ponder.backends.prefix_tree import Outputs, TreeModel
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
        return [reading for reading in self.readings if reading.outputs is None]


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
        """One [tokens, width] array a sequence, in order.

        A sequence that is empty, or longer than the model can read, is a `ScoreFailure`, and the
        others are read all the same. Raises VerifierError where the model fails on a pass that
        holds any of them, or the reader is closed.
        """
        unreadable = [self._unreadable(sequence) for sequence in sequences]
        tree = self._cache.tree(problem)
        readings = [
            Reading(problem, tree, sequence)
            for sequence, failure in zip(sequences, unreadable, strict=True)
            if failure is None
        ]
        if readings:
            call = _Call(readings, Future())
            self._submit(call)
            await asyncio.wrap_future(call.answer)
        answers = iter(readings)
        return [_outputs(next(answers)) if failure is None else failure for failure in unreadable]

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
                _fail(call, "the reader of this model was closed")
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
        _answer(waiting)
        if not planned.ends:
            return
        failure = self._compute(planned)
        if failure is None:
            _answer(waiting)
            return
        for call in waiting:
            if any(reading in planned.readings for reading in call.readings):
                _fail(call, failure)

    def _compute(self, planned: Pass[Any]) -> str | None:
        """Why the pass failed, in one line; None also where it is tried with less in memory."""
        try:
            self._passes.compute(planned)
        except MemoryError as error:
            failure = _line(error)
        except Exception as error:  # noqa: BLE001  (whatever a model raises fails its pass)
            return _line(error)
        else:
            return None
        # Only here, where the error's frames no longer hold on to the memory.
        return None if self._passes.relieve() else failure


def _outputs(reading: Reading[Any]) -> Outputs:
    assert reading.outputs is not None, "an answered call has all its outputs"
    return reading.outputs


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


def _answer(calls: Sequence[_Call]) -> None:
    """Finish the calls that have all their outputs, unless they were cancelled just now."""
    for call in calls:
        unfinished = [reading for reading in call.left if not reading.finish()]
        if not unfinished and not call.answer.done() and call.answer.set_running_or_notify_cancel():
            call.answer.set_result(None)


def _fail(call: _Call, reason: str) -> None:
    for reading in call.readings:
        reading.leave()
    if not call.answer.done() and call.answer.set_running_or_notify_cancel():
        call.answer.set_exception(VerifierError(reason))


def _line(error: BaseException) -> str:
    reason = " ".join(str(error).split())[:LONGEST_REASON]
    told = reason if isinstance(error, PonderError) else f"{type(error).__name__}: {reason}"
    return f"the model failed on a pass: {told}".rstrip(": ")
