"""The run store when things go wrong: kills, a second writer, a full disk, a slow one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from ponder.errors import RunLockedError, StoreError
from ponder.store import CallRecord, RunStore
from ponder.store.database import connect_writing
from ponder.store.writer import Write, Writer
from tests.store_writing import CALLS, called, content, opened, traced


@contextmanager
def child(kind: Literal["write", "fork"], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own; killed at the end if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store_writing", kind, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def whole(folder: Path) -> bool:
    """SQLite finds nothing wrong with the file."""
    connection = sqlite3.connect(folder / "run.sqlite")
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return str(verdict) == "ok"


# kill -9 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_kill_9_loses_nothing_that_was_reported_committed(tmp_path: Path, kills: int) -> None:
    random, committed = Random(kills), 0
    for _ in range(kills):
        with child("write", tmp_path) as writer:
            assert said(writer).startswith("ready")
            for _ in range(random.randint(1, 3)):
                committed = int(said(writer)) + 1
            time.sleep(random.random() * 0.15)
            writer.kill()
            rest = writer.stdout.read().split() if writer.stdout else []
        committed = int(rest[-1]) + 1 if rest else committed
        check_committed(tmp_path, committed)


def check_committed(folder: Path, committed: int) -> None:
    with RunStore.read(folder) as run:  # recovers the log that the kill left behind
        finished = run.finished()
        assert finished >= {f"p{i}" for i in range(committed)}
        assert len(finished) <= committed + 1
        for problem in range(len(finished)):
            assert run.trace(f"p{problem}") == traced(f"p{problem}")
            for i in range(CALLS):
                record = run.log.get(called(f"p{problem}", i))
                assert record == CallRecord(content(problem, i), False)
    assert whole(folder)


def test_a_reader_beside_a_writer_sees_whole_problems_and_ever_more(tmp_path: Path) -> None:
    with child("write", tmp_path) as writer:
        said(writer)
        said(writer)
        with RunStore.read(tmp_path) as run:
            counts = []
            for _ in range(4):
                said(writer)
                traces = list(run.traces())
                assert traces == [traced(trace.problem_id) for trace in traces]
                counts.append(len(traces))
        assert counts == sorted(set(counts))
        assert counts[0] >= 2


def test_the_disk_is_waited_for_so_that_a_power_loss_never_costs_the_file(tmp_path: Path) -> None:
    connection = connect_writing(tmp_path / "run.sqlite")
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.close()
    assert (journal, synchronous) == ("wal", 1)  # NORMAL


async def test_what_a_crash_left_in_the_log_is_recovered(tmp_path: Path) -> None:
    """A copy of the files of a run in use is what a crash leaves; a cut log, a power loss."""
    names = [f"p{i}" for i in range(10)]
    with opened(tmp_path / "run") as store:
        for name in names:
            await store.finish(traced(name, 9000))
        for crash in ("kill", "power"):
            shutil.copytree(tmp_path / "run", tmp_path / crash)
            (tmp_path / crash / "run.sqlite-shm").unlink()
    log = tmp_path / "power" / "run.sqlite-wal"
    os.truncate(log, log.stat().st_size // 2)
    with opened(tmp_path / "kill") as store:
        assert store.finished() == set(names)
    with opened(tmp_path / "power") as store:
        left = store.finished()
        assert left == set(names[: len(left)])
        assert 0 < len(left) < len(names)
        assert {trace.problem_id: trace.digest() for trace in store.traces()} == store.digests()
    assert whole(tmp_path / "kill")
    assert whole(tmp_path / "power")


# The lock ----------------------------------------------------------------------------------------


def test_a_second_writer_is_told_the_pid_until_the_first_dies(tmp_path: Path) -> None:
    with child("write", tmp_path) as writer:
        said(writer)
        with pytest.raises(RunLockedError, match=f"written by process {writer.pid}: wait"):
            opened(tmp_path)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        opened(tmp_path).close()


def test_the_lock_holds_within_one_process_and_ends_with_close(tmp_path: Path) -> None:
    with opened(tmp_path):
        for _ in range(2):
            with pytest.raises(RunLockedError, match=f"process {os.getpid()}"):
                opened(tmp_path)
    opened(tmp_path).close()


def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(tmp_path: Path) -> None:
    with child("fork", tmp_path) as holder:
        grandchild = int(said(holder))
        try:
            with pytest.raises(RunLockedError):
                opened(tmp_path)
            holder.kill()
            holder.wait()
            opened(tmp_path).close()
        finally:
            os.kill(grandchild, signal.SIGKILL)


# A full disk -------------------------------------------------------------------------------------


def fill(store: RunStore) -> None:
    """From now on the file cannot grow, as on a full disk: SQLite reports the same error."""
    (pages,) = store._writer._connection.execute("PRAGMA page_count").fetchone()
    store._writer._connection.execute(f"PRAGMA max_page_count = {pages + 3}")


def overfill(folder: Path, error: Exception | None = None) -> None:
    """Put more than fits, and end by `error` if there is one."""
    with opened(folder) as store:
        fill(store)
        store.log.put(called("p", 0), CallRecord(bytes(100_000), False))
        if error is not None:
            raise error


async def test_a_full_disk_is_one_line_and_costs_only_what_was_not_committed(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    await store.finish(traced("before"))
    fill(store)
    with pytest.raises(StoreError, match=r"run\.sqlite: the disk is full: free space") as caught:
        await store.finish(traced("large", 50_000))
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="disk is full"):
        store.log.put(called("p", 0), CallRecord(b"", False))
    with pytest.raises(StoreError, match="disk is full"):
        store.finished()
    with pytest.raises(StoreError, match="disk is full"):
        store.close()
    with opened(tmp_path) as again:
        assert again.finished() == {"before"}
        await again.finish(traced("large", 50_000))
    assert whole(tmp_path)


def test_a_full_disk_met_by_a_queued_write_is_told_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="disk is full"):
        overfill(tmp_path)


def test_the_error_that_ended_a_run_is_not_hidden_by_its_closing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        overfill(tmp_path, KeyError("first"))


def test_text_that_sqlite_cannot_keep_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = called("p", 0)._replace(identity="model\ud800")
    store.log.put(key, CallRecord(b"", False))
    with pytest.raises(StoreError, match="surrogates not allowed"):
        store.finished()
    with pytest.raises(StoreError, match="surrogates not allowed"):
        store.close()


# Transactions ------------------------------------------------------------------------------------

INSERT = "INSERT OR REPLACE INTO grades VALUES ('ours', ?, '0', 1)"


class Watched:
    """A writer whose statements are kept."""

    def __init__(self, folder: Path) -> None:
        path = folder / "run.sqlite"
        connection = connect_writing(path)
        self.statements: list[str] = []
        connection.set_trace_callback(self.statements.append)
        self.writer = Writer(connection, path)

    def sizes(self) -> list[int]:
        """Records of each transaction."""
        self.writer.close()
        sizes = []
        for statement in self.statements:
            if statement == "BEGIN IMMEDIATE":
                sizes.append(0)
            elif statement.startswith("INSERT"):
                sizes[-1] += 1
        assert self.statements.count("COMMIT") == len(sizes)
        return sizes


def note_wait(waits: list[float], since: float, failure: StoreError | None) -> None:
    assert failure is None
    waits.append(time.monotonic() - since)


def test_a_transaction_closes_at_200_records(tmp_path: Path) -> None:
    watched, started = Watched(tmp_path), time.monotonic()
    for i in range(1000):
        watched.writer.submit(Write(INSERT, [(f"p{i}",)]))
    by_time = int((time.monotonic() - started) / 0.1)
    sizes = watched.sizes()
    assert sum(sizes) == 1000
    assert max(sizes) == 200
    assert len(sizes) <= 5 + by_time


def test_a_transaction_closes_100_ms_after_its_first_record(tmp_path: Path) -> None:
    waits: list[float] = []
    watched, started = Watched(tmp_path), time.monotonic()
    for i in range(50):
        committed = partial(note_wait, waits, time.monotonic())
        watched.writer.submit(Write(INSERT, [(f"p{i}",)], committed))
        time.sleep(0.01)
    lasted = time.monotonic() - started
    sizes = watched.sizes()
    assert max(sizes) > 1
    assert len(sizes) <= lasted / 0.1 + 1
    assert len(waits) == 50
    assert min(waits) < 0.1
    assert sorted(waits)[40] < 0.15  # a busy machine may delay a few


def test_many_rows_of_one_write_are_never_divided(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.writer.submit(Write(INSERT, [(f"p{i}",) for i in range(500)]))
    assert watched.sizes() == [500]


# The event loop ----------------------------------------------------------------------------------


async def test_a_stalled_disk_never_blocks_the_event_loop(tmp_path: Path) -> None:
    """Another program's transaction stalls every commit for two seconds."""
    with opened(tmp_path) as store:
        await store.recall("p")
        other = sqlite3.connect(
            tmp_path / "run.sqlite", isolation_level=None, check_same_thread=False
        )
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(2.0, other.execute, ["ROLLBACK"]).start()
        started, late = time.monotonic(), []
        finishing = asyncio.create_task(store.finish(traced("p")))
        while not finishing.done():
            before = time.monotonic()
            for i in range(10):
                store.log.put(called("p", i), CallRecord(b"x" * 1000, False))
            await asyncio.sleep(0.001)
            late.append(time.monotonic() - before)
        assert time.monotonic() - started > 1.8
        assert sorted(late)[len(late) * 9 // 10] < 0.05
        assert max(late) < 1.5
    other.close()


def test_a_trace_is_kept_although_nobody_waits_for_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, submitted = Writer.submit, asyncio.Event()

    def noting(writer: Writer, write: Write) -> None:
        submit(writer, write)
        if write.done is not None:
            submitted.set()

    async def give_up(store: RunStore, problem_id: str) -> None:
        submitted.clear()
        finishing = asyncio.create_task(store.finish(traced(problem_id)))
        await submitted.wait()
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing

    async def write(store: RunStore) -> None:
        await give_up(store, "first")
        await store.finish(traced("second"), last=lambda: True)
        await give_up(store, "last")

    monkeypatch.setattr(Writer, "submit", noting)
    monkeypatch.setattr("ponder.store.writer.SECONDS_PER_TRANSACTION", 3600.0)
    with opened(tmp_path) as store:
        asyncio.run(write(store))
        assert store.finished() == {"first", "second", "last"}


# Speed -------------------------------------------------------------------------------------------


def test_the_log_takes_many_records_a_second(tmp_path: Path) -> None:
    """Measured at 50,000 a second on 2 cores; the bound leaves room for a loaded machine."""
    with opened(tmp_path) as store:
        started = time.monotonic()
        for i in range(5_000):
            store.log.put(called(f"p{i // 256}", i), CallRecord(b"x" * 300, False))
        store.finished()
        assert 5_000 / (time.monotonic() - started) > 2_000
