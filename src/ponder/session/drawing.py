"""Draws samples: budget first, then the call log, then a slot, then the engine."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from ponder.budget import Entry, Lane, Ledger, Prompt
from ponder.engines.base import Engine
from ponder.errors import EngineError
from ponder.search import steps
from ponder.session.calls import pack_completion, sample_request, seed_of, unpack_completion
from ponder.session.options import SessionOptions
from ponder.session.slots import Slots
from ponder.session.stream import SampleStream
from ponder.store.base import CallKey, CallLog
from ponder.types import Completion, NodePath, Prefix, Problem, Sample, Sampling


class Drawing:
    """The samples of one problem: those that count, and what the others cost."""

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        log: CallLog,
        slots: Slots,
        options: SessionOptions,
        counted: Callable[[Sample], None],
    ) -> None:
        self.ledger = Ledger(options.budget)
        self.samples: dict[NodePath, Sample] = {}
        """Counted: those that the strategy was given."""
        self.uncounted: dict[NodePath, Completion] = {}
        """Ended, and not (yet) given to the strategy."""
        self.late = False
        """A sample was refused because the time was over."""
        self._problem = problem
        self._engine = engine
        self._log = log
        self._slots = slots
        self._options = options
        self._on_counted = counted
        self._deadline: float | None = None
        self._entries: dict[NodePath, Entry] = {}
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._over = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        if self._options.budget.seconds is not None:
            self._deadline = self._options.clock() + self._options.budget.seconds
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)

    @property
    def overdue(self) -> bool:
        """The budget's seconds are over."""
        return self._deadline is not None and self._options.clock() >= self._deadline

    def open(
        self, lane: Lane | None, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling
    ) -> SampleStream:
        """Take the paths' places in the budget's order and draw as it grants them."""
        stream = SampleStream(prefix, sampling, len(paths), self._count)
        for path in paths:
            self._entries[path] = self.ledger.request(
                path,
                sampling.limit,
                partial(self._granted, stream, path),
                lane=lane,
                prompt=self._prompt(prefix),
            )
        return stream

    def _count(self, sample: Sample) -> None:
        self.samples[sample.path] = sample
        self.uncounted.pop(sample.path, None)
        self._on_counted(sample)

    def _prompt(self, prefix: Prefix) -> Prompt | None:
        """The conversation, at most a token a byte, where prompts count."""
        if self._options.budget.total_tokens is None:
            return None
        content = sum(len(message.content.encode()) + 16 for message in prefix.messages)
        return Prompt(prefix.messages, content + 64)  # what a chat template adds of its own

    def _granted(self, stream: SampleStream, path: NodePath, grant: int) -> None:
        """The ledger decided; start together what it decides in one go."""
        if grant == 0:
            stream.refuse()
            return
        if not stream.ready:
            asyncio.get_running_loop().call_soon(self._start, stream)
        stream.ready.append((path, grant))

    def _start(self, stream: SampleStream) -> None:
        by_grant: defaultdict[int, list[NodePath]] = defaultdict(list)
        for path, grant in stream.ready:
            by_grant[grant].append(path)
        stream.ready.clear()
        for grant, paths in by_grant.items():
            sampling = stream.sampling.granted(grant)
            left = [path for path in paths if not self._from_log(stream, path, sampling)]
            if left:
                self._spawn(stream, self._admit(stream, left, sampling))

    def _spawn(self, stream: SampleStream, work: Coroutine[Any, Any, None]) -> None:
        if stream.closed or self._over:
            work.close()
            return
        task = self._group.create_task(work)
        for tasks in (self._running, stream.tasks):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def _key(self, stream: SampleStream, path: NodePath, sampling: Sampling) -> CallKey:
        request = sample_request(stream.prefix, sampling, self._seed(path))
        identity = self._engine.capabilities.identity
        return CallKey(self._problem.id, path, "sample", identity, request)

    def _seed(self, path: NodePath) -> int:
        return seed_of(self._options.seed, self._problem.id, path)

    def _from_log(self, stream: SampleStream, path: NodePath, sampling: Sampling) -> bool:
        record = self._log.get(self._key(stream, path, sampling))
        if record is None or (record.failed and not self._options.failures_from_log):
            return False
        self._end(stream, path, sampling, unpack_completion(record, 0))
        return True

    async def _admit(
        self, stream: SampleStream, paths: Sequence[NodePath], sampling: Sampling
    ) -> None:
        """Start as many of the paths as there are slots, and the rest as slots come free."""
        while paths:
            admitted = await self._slots.acquire(self._options.rank, len(paths))
            now, paths = paths[:admitted], paths[admitted:]
            if self.overdue:
                self._slots.release(admitted)
                self._refuse_late(stream, [*now, *paths])
                return
            self._spawn(stream, self._generate(stream, now, sampling))

    def _refuse_late(self, stream: SampleStream, paths: Sequence[NodePath]) -> None:
        self.late = True
        for path in paths:
            stream.refuse()
            self.ledger.settle(self._entries[path], 0)

    async def _generate(
        self, stream: SampleStream, paths: Sequence[NodePath], sampling: Sampling
    ) -> None:
        """One call of the engine; holds a slot for each path until that one has ended."""
        waiting = dict(enumerate(paths))
        seeds = [self._seed(path) for path in paths]
        reason = "the engine ended without this sample"
        try:
            async with aclosing(
                cast(
                    "AsyncGenerator[Completion, None]",
                    self._engine.generate(stream.prefix, sampling, seeds),
                )
            ) as completions:
                async for completion in completions:
                    path = waiting.pop(completion.index)
                    self._slots.release()
                    self._keep(stream, path, sampling, completion)
        except (EngineError, OSError) as error:
            reason = str(error) or type(error).__name__
        finally:
            self._slots.release(len(waiting))
        for path in waiting.values():
            failed = Completion(0, "", "aborted", error=reason)
            self._keep(stream, path, sampling, failed)

    def _keep(
        self, stream: SampleStream, path: NodePath, sampling: Sampling, completion: Completion
    ) -> None:
        self._log.put(self._key(stream, path, sampling), pack_completion(completion))
        self._end(stream, path, sampling, completion)

    def _end(
        self, stream: SampleStream, path: NodePath, sampling: Sampling, completion: Completion
    ) -> None:
        """Grow the prefix, tell the ledger, hand the sample on."""
        failed = completion.error is not None
        prefix = stream.prefix
        for step in () if failed else steps.split(completion, self._options.separator):
            prefix = prefix.grow(step)
        cut = completion.ended == "length" and sampling.limit < stream.sampling.limit
        self.uncounted[path] = completion
        stream.put(Sample(path, _parent(stream.prefix, path), prefix, completion, cut))
        entry = self._entries[path]
        assert entry.granted is not None
        generated = completion.usage.generated
        if generated is None:  # not told: at worst all that was granted
            generated = 0 if failed else entry.granted
        self.ledger.settle(entry, generated, _prompt_tokens(stream.prefix, completion))


def _prompt_tokens(prefix: Prefix, completion: Completion) -> int | None:
    """Tokens of the conversation, without the steps that were chosen before; None: not told."""
    if completion.usage.prompt is None:
        return None
    return completion.usage.prompt - sum(len(step.token_ids or ()) for step in prefix.steps)


def _parent(prefix: Prefix, path: NodePath) -> NodePath:
    """The node that the sample's text continues; a conversation's first answer has none."""
    return path[:-1] if prefix.depth else ()
