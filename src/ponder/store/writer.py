"""The one thread that writes to a run's file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ponder.errors import StoreError
from ponder.store.database import in_words, transaction

RECORDS_PER_TRANSACTION = 200
SECONDS_PER_TRANSACTION = 0.1

Storable = str | int | bytes | None
Done = Callable[[StoreError | None], None]


class Write(NamedTuple):
    """A statement for each of some rows; never divided over two transactions."""

    sql: str
    rows: Sequence[tuple[Storable, ...]]
    done: Done | None = None
    """Called from the writer's thread: None once committed, else why it is lost."""
    hurry: bool = False
    """Ends the transaction at once instead of waiting for more."""


class Writer:
    """Owns the writing connection and commits what is submitted, in order.

    A transaction closes at 200 records, 100 ms after its first, or at a write in a hurry. The first
    error, a full disk for instance, ends the writing: all that was not committed is reported lost,
    and every later call raises StoreError with the same line.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._failure: str | None = None
        # Guards what follows. The thread is woken for a transaction's first write and for its end:
        # woken for each write, it would take the interpreter from the event loop every time.
        self._lock = threading.Lock()
        self._gate = threading.Condition(self._lock)
        self._queue: deque[Write] = deque()
        self._records = 0
        self._hurried = 0
        self._closing = False
        # A daemon: a store that nobody closed must not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._work, name="run-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> None:
        """Queue a write; returns at once. Raises StoreError if the writing has failed or ended."""
        if self._failure is not None:
            raise StoreError(self._failure)
        with self._lock:  # of the gate, whose own `with` takes several times as long
            if self._closing:
                raise StoreError(f"{self._path}: the run is closed")
            self._queue.append(write)
            self._records += len(write.rows)
            self._hurried += write.hurry
            if len(self._queue) == 1 or self._due:
                self._gate.notify()

    async def commit(self, sql: str, row: tuple[Storable, ...], *, hurry: bool = False) -> None:
        """Submit a statement and wait, without blocking the event loop, until it is committed.

        Raises StoreError if it is lost.
        """
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[None] = loop.create_future()
        self.submit(Write(sql, [row], done=partial(_report, loop, committed), hurry=hurry))
        await committed

    def flush(self) -> None:
        """Wait until all that was submitted is committed. Raises StoreError if it cannot be."""
        committed = threading.Event()
        self.submit(Write("", (), done=lambda _: committed.set(), hurry=True))
        committed.wait()
        self._raise_failure()

    def close(self) -> None:
        """Commit what is queued and end. Raises StoreError if anything was lost."""
        with self._gate:
            self._closing = True
            self._gate.notify()
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise StoreError(self._failure)

    @property
    def _due(self) -> bool:
        """The next transaction waits for nothing more."""
        return bool(self._closing or self._hurried or self._records >= RECORDS_PER_TRANSACTION)

    def _work(self) -> None:
        while batch := self._collect():
            self._commit(batch)
        self._connection.close()

    def _collect(self) -> list[Write]:
        """The writes of the next transaction; none when the writing has ended."""
        with self._gate:
            self._gate.wait_for(lambda: self._queue or self._closing)
            self._gate.wait_for(lambda: self._due, timeout=SECONDS_PER_TRANSACTION)
            return self._take()

    def _take(self) -> list[Write]:
        """Writes from the queue, up to a transaction's records or one in a hurry."""
        batch: list[Write] = []
        records = 0
        while self._queue and records < RECORDS_PER_TRANSACTION:
            write = self._queue.popleft()
            batch.append(write)
            records += len(write.rows)
            self._hurried -= write.hurry
            if write.hurry:
                break
        self._records -= records
        return batch

    def _commit(self, batch: Sequence[Write]) -> None:
        changes = [write for write in batch if write.rows]
        if changes and self._failure is None:
            try:
                with transaction(self._connection):
                    for write in changes:
                        for row in write.rows:
                            self._connection.execute(write.sql, row)
            except (sqlite3.Error, ValueError) as error:  # ValueError: text that is no UTF-8
                self._failure = in_words(error, self._path)
        for write in batch:
            if write.done is not None:
                write.done(None if self._failure is None else StoreError(self._failure))


def _report(
    loop: asyncio.AbstractEventLoop, committed: asyncio.Future[None], failure: StoreError | None
) -> None:
    """Tell a waiting coroutine, from the writer's thread, that its write has ended."""

    def settle() -> None:
        if committed.cancelled():
            return
        if failure is None:
            committed.set_result(None)
        else:
            committed.set_exception(failure)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The loop has closed, so nobody waits any more; the write itself has succeeded or is
        # reported by `close`.
        return
