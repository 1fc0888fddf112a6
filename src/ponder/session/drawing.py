"""Draws samples: budget first, then the call log, then a slot, then the engine."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from ponder.budget import Entry, Lane, Ledger, Prompt
from ponder.engines.base import Engine
from ponder.errors import EngineError
from ponder.search import steps
from ponder.session.calls import pack_completion, sample_requests, seed_of, unpack_completion
from ponder.session.options import SessionOptions
from ponder.session.slots import Slots
from ponder.session.stream import SampleStream
from ponder.store.base import CallKey, CallLog
from ponder.types import Completion, Message, NodePath, Prefix, Problem, Sample, Sampling


class _Draw(NamedTuple):
    """One sample to draw."""

    stream: SampleStream
    path: NodePath
    sampling: Sampling
    """As the budget granted it."""
    seed: int
    """Its own."""
    key: CallKey
    """Names it in the call log."""

    @property
    def prefix(self) -> Prefix:
        """What it continues."""
        return self.stream.prefix


class Drawing:
    """The samples of one problem: those that count, and what the others cost.

    Samples that continue equal prefixes and are granted together go to the engine in one call,
    each with its own seed, so that it reads the prefix once.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        log: CallLog,
        slots: Slots,
        options: SessionOptions,
        counted: Callable[[Sample], None] | None = None,
    ) -> None:
        self.ledger = Ledger(options.budget)
        self.samples: dict[NodePath, Sample] = {}
        """Counted: those that the strategy was given."""
        self.paths: dict[bytes, list[NodePath]] = {}
        """Of the counted samples, by the prefix that they made."""
        self.uncounted: dict[NodePath, Completion] = {}
        """Ended, and not (yet) given to the strategy."""
        self.late = False
        """A sample was refused because the time was over."""
        self.shared = 0
        """Samples that joined the call of an equal prefix."""
        self.running = 0
        """Samples that the engine was asked for and has not ended, or was stopped in."""
        self._conversations: Counter[tuple[Message, ...]] = Counter()
        self._problem = problem
        self._engine = engine
        self._log = log
        self._slots = slots
        self._options = options
        self._on_counted = counted
        self._deadline: float | None = None
        self._entries: dict[NodePath, Entry] = {}
        self._granted: list[_Draw] = []
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
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
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)
        self._on_counted = None  # the session's own: the two would hold each other

    @property
    def overdue(self) -> bool:
        """The budget's seconds are over."""
        return self._deadline is not None and self._options.clock() >= self._deadline

    @property
    def drawn(self) -> int:
        """Samples that the engine or the log was asked for, whether they count or not."""
        return len(self.samples) + len(self.uncounted) + self.running

    @property
    def repeated(self) -> int:
        """Calls of the engine that went on with a conversation which it had been given before."""
        return sum(calls - 1 for calls in self._conversations.values())

    def open(
        self, lane: Lane | None, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling
    ) -> SampleStream:
        """Take the paths' places in the budget's order and draw as it grants them."""
        requests = sample_requests(prefix, sampling)
        stream = SampleStream(prefix, sampling, requests, len(paths), self._count)
        wants, prompt = sampling.limit, self._prompt(prefix)
        for path in paths:
            decided = partial(self._grant, stream, path)
            self._entries[path] = self.ledger.request(
                path, wants, decided, lane=lane, prompt=prompt
            )
        return stream

    def _count(self, sample: Sample) -> None:
        self.samples[sample.path] = sample
        self.paths.setdefault(sample.prefix.key, []).append(sample.path)
        self.uncounted.pop(sample.path, None)
        if self._on_counted is not None:
            self._on_counted(sample)

    def discard(self, paths: Collection[NodePath]) -> None:
        """Samples that the strategy was given and made no use of: they do not count after all."""
        for path in paths:
            self.uncounted[path] = self.samples.pop(path).completion

    def _prompt(self, prefix: Prefix) -> Prompt | None:
        """The conversation, at most a token a byte, where prompts count."""
        if self._options.budget.total_tokens is None:
            return None
        content = sum(len(message.content.encode()) + 16 for message in prefix.messages)
        return Prompt(prefix.messages, content + 64)  # what a chat template adds of its own

    def _grant(self, stream: SampleStream, path: NodePath, grant: int) -> None:
        """The ledger decided; start together what it decides in one go."""
        if grant == 0:
            stream.refuse()
            return
        if not self._granted:
            asyncio.get_running_loop().call_soon(self._start)
        self._granted.append(self._draw(stream, path, stream.sampling.granted(grant)))

    def _draw(self, stream: SampleStream, path: NodePath, sampling: Sampling) -> _Draw:
        seed = seed_of(self._options.seed, self._problem.id, path)
        named = (
            stream.requests
            if sampling is stream.sampling
            else sample_requests(stream.prefix, sampling)
        )
        identity = self._engine.capabilities.identity
        key = CallKey(self._problem.id, path, "sample", identity, named(seed))
        return _Draw(stream, path, sampling, seed, key)

    def _start(self) -> None:
        granted, self._granted = self._granted, []
        calls: defaultdict[object, list[_Draw]] = defaultdict(list)
        for draw in granted:
            try:
                known = self._from_log(draw)
            except Exception as error:  # noqa: BLE001  in a loop's callback nobody would see it
                draw.stream.fail(error)
                continue
            if not known:
                prefix = draw.prefix.key if self._options.share else draw.stream
                calls[prefix, draw.sampling].append(draw)
        for draws in calls.values():
            if self._over or all(draw.stream.closed for draw in draws):
                continue
            self._begin_or_wait(draws)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the drawing at the latest."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _spawn(self, draws: Sequence[_Draw], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task for the streams of these samples: it ends when all of them are closed."""
        streams = {draw.stream for draw in draws}
        task = self._group.create_task(work)
        self._tasks.add(task)
        for stream in streams:
            stream.tasks[task] = streams
        task.add_done_callback(partial(self._forget, streams))
        return task

    def _forget(self, streams: Collection[SampleStream], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        for stream in streams:
            del stream.tasks[task]

    def _from_log(self, draw: _Draw) -> bool:
        record = self._log.get(draw.key)
        if record is None or (record.failed and not self._options.failures_from_log):
            return False
        self._end(draw, unpack_completion(record, 0))
        return True

    def _begin_or_wait(self, draws: Sequence[_Draw]) -> None:
        """Start as many of the samples as there are slots, and the rest as slots come free."""
        later = self._admit(draws, self._slots.take(self._options.rank, len(draws)))
        if later:
            self._spawn(later, self._wait(later))

    async def _wait(self, draws: Sequence[_Draw]) -> None:
        while draws:
            admitted = await self._slots.acquire(self._options.rank, len(draws))
            draws = self._admit(draws, admitted)

    def _admit(self, draws: Sequence[_Draw], admitted: int) -> Sequence[_Draw]:
        """Start those that have a slot; returns the others, none if the time is over."""
        if self.overdue:
            self._slots.release(admitted)
            self._refuse_late(draws)
            return ()
        if admitted:
            self._begin(draws[:admitted])
        return draws[admitted:]

    def _begin(self, draws: Sequence[_Draw]) -> None:
        """Start one call of the engine, which holds a slot for each sample until it has ended."""
        self.shared += sum(draw.stream is not draws[0].stream for draw in draws)
        waiting = dict(enumerate(draws))
        task = self._spawn(draws, self._generate(waiting))
        # Not in the task itself: one that is cancelled before its first step never runs.
        task.add_done_callback(lambda _: self._slots.release(len(waiting)))

    def _refuse_late(self, draws: Sequence[_Draw]) -> None:
        self.late = True
        for draw in draws:
            draw.stream.refuse()
            self.ledger.settle(self._entries[draw.path], 0)

    async def _generate(self, waiting: dict[int, _Draw]) -> None:
        """One call of the engine; a sample leaves `waiting` when it has ended."""
        draws = list(waiting.values())
        self.running += len(draws)
        self._conversations[draws[0].prefix.messages] += 1
        seeds = [draw.seed for draw in draws]
        reason = "the engine ended without this sample"
        try:
            async with aclosing(
                cast(
                    "AsyncGenerator[Completion, None]",
                    self._engine.generate(draws[0].prefix, draws[0].sampling, seeds),
                )
            ) as completions:
                async for completion in completions:
                    draw = waiting.pop(completion.index)
                    self._slots.release()
                    self._keep(draw, completion)
        except (EngineError, OSError) as error:
            reason = str(error) or type(error).__name__
        for draw in waiting.values():
            self._keep(draw, Completion(0, "", "aborted", error=reason))

    def _keep(self, draw: _Draw, completion: Completion) -> None:
        self.running -= 1
        self._log.put(draw.key, pack_completion(completion))
        self._end(draw, completion)

    def _end(self, draw: _Draw, completion: Completion) -> None:
        """Grow the prefix, tell the ledger, hand the sample on."""
        failed = completion.error is not None
        stream, path, prefix = draw.stream, draw.path, draw.prefix
        for step in () if failed else steps.split(completion, self._options.separator):
            prefix = prefix.grow(step)
        cut = completion.ended == "length" and draw.sampling.limit < stream.sampling.limit
        self.uncounted[path] = completion
        stream.put(Sample(path, _parent(draw.prefix, path), prefix, completion, cut))
        entry = self._entries[path]
        assert entry.granted is not None
        generated = completion.usage.generated
        if generated is None:  # not told: at worst all that was granted
            generated = 0 if failed else entry.granted
        counts = entry.prompt is not None
        self.ledger.settle(
            entry, generated, _prompt_tokens(draw.prefix, completion) if counts else None
        )


def _prompt_tokens(prefix: Prefix, completion: Completion) -> int | None:
    """Tokens of the conversation, without the steps that were chosen before; None: not told."""
    if completion.usage.prompt is None:
        return None
    return completion.usage.prompt - sum(len(step.token_ids or ()) for step in prefix.steps)


def _parent(prefix: Prefix, path: NodePath) -> NodePath:
    """The node that the sample's text continues; a conversation's first answer has none."""
    return path[:-1] if prefix.depth else ()
