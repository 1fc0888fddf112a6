"""Who may use the engine now: the oldest problem first."""

from __future__ import annotations

import asyncio
import heapq
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

QUIET_SECONDS: Final = 1.0
"""Without a complaint of the server, before the limit grows by one again; complaints within this
time of one that halved the limit are of the same moment."""

BACKLOG: Final = 4
"""Prefixes a slot that may wait for a verifier, or answers for a parser, before no further problem
is opened."""

_LAST: Final = sys.maxsize
"""The rank of the problems not yet open."""


class Slots:
    """The sequences that an engine runs at once, shared by all problems of a process.

    A waiter's rank is its problem's number: the oldest problem is served first, and within a
    problem the first to ask.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"`limit` must be at least 1, got {limit}")
        self._limit = self._most = limit
        self._recovery: asyncio.TimerHandle | None = None
        self._halved = -math.inf
        self._used = 0
        self._waiting: list[tuple[int, int, int, asyncio.Future[int]]] = []
        self._serving = False
        self._arrival = count()
        self._expected: dict[int, asyncio.Future[None]] = {}
        self._unscored = 0
        self._scored = asyncio.Event()
        self._scored.set()

    @property
    def limit(self) -> int:
        """The most sequences at once."""
        return self._limit

    @property
    def free(self) -> int:
        """Slots that nobody uses or waits for."""
        return 0 if self._waiting else max(self._limit - self._used, 0)

    def take(self, rank: int, most: int) -> int:
        """As many of the `most` wanted slots as are free now; 0 if there are none."""
        self._has_asked(rank)
        return self._give(most) if self.free else 0

    async def acquire(self, rank: int, most: int) -> int:
        """Wait for at least one slot; returns how many of the `most` wanted there were."""
        taken = self.take(rank, most)
        if taken:
            return taken
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrival), most, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result())
            raise

    def release(self, count: int = 1) -> None:
        """Give slots back.

        Those that come free in one turn of the event loop are handed on together, so that samples
        of one prefix that wait for them go to the engine in one call.
        """
        self._used -= count
        if self._waiting and not self._serving:
            self._serving = True
            asyncio.get_running_loop().call_soon(self._serve)

    async def vacancy(self) -> None:
        """Wait until a slot is free that no open problem wants, and verifiers are not behind."""
        while True:
            await self._scored.wait()
            await self.acquire(_LAST, 1)
            self.release()
            if self._scored.is_set():  # they may have fallen behind while it waited for the slot
                return

    @contextmanager
    def unscored(self, rank: int, count: int) -> Iterator[None]:
        """So many prefixes of this rank's problem wait for a verifier, or answers for a parser.

        It is heard from by that, and may never want a slot: its samples may be in the call log.
        With a slow verifier or parser the engine's slots come free faster than problems end: past
        `BACKLOG` a slot no problem is opened, so that memory holds a bounded number of samples.
        """
        self._has_asked(rank)
        self._wait_for_verifier(count)
        try:
            yield
        finally:
            self._wait_for_verifier(-count)

    def _wait_for_verifier(self, more: int) -> None:
        self._unscored += more
        if self._unscored < BACKLOG * self._most:
            self._scored.set()
        else:
            self._scored.clear()

    def _has_asked(self, rank: int) -> None:
        if rank in self._expected:
            self._expected.pop(rank).set_result(None)

    async def asked(self, rank: int, or_done: asyncio.Future[None]) -> None:
        """Wait until the problem of this rank first wants a slot or a score, or is done."""
        asked = self._expected[rank] = asyncio.get_running_loop().create_future()
        await asyncio.wait([asked, or_done], return_when=asyncio.FIRST_COMPLETED)
        self._expected.pop(rank, None)

    def resize(self, limit: int) -> None:
        """Another limit from now on; what runs over it ends by itself."""
        self._limit = max(limit, 1)
        self._serve()

    def busy(self) -> None:
        """A server has too much to do: half the limit now, one more each quiet second.

        A burst of complaints halves once, and none does while more runs than the limit allows:
        those were let in before it was halved.
        """
        now = asyncio.get_running_loop().time()
        if self._used <= self._limit and now - self._halved >= QUIET_SECONDS:
            self._halved = now
            self.resize(self._limit // 2)
        self._recover_later()

    def _recover_later(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
        loop = asyncio.get_running_loop()
        self._recovery = loop.call_later(QUIET_SECONDS, self._recover)

    def _recover(self) -> None:
        self._recovery = None
        if self._limit < self._most:
            self.resize(self._limit + 1)
            self._recover_later()

    def _serve(self) -> None:
        self._serving = False
        while self._waiting and self._used < self._limit:
            _, _, most, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(self._give(most))

    def _give(self, most: int) -> int:
        given = min(most, self._limit - self._used)
        self._used += given
        return given
