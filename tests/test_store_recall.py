"""A problem's recorded calls are read from the file when, and only when, it may hold some."""

from __future__ import annotations

from pathlib import Path

from ponder.store import CallKey, CallRecord, RunStore
from ponder.trace import Spent, Trace


def opened(folder: Path) -> RunStore:
    return RunStore.open(folder, study={}, host={}, recipe_toml="")


def key(problem_id: str) -> CallKey:
    return CallKey(problem_id, (0,), "sample", "engine", "request")


def trace(problem_id: str) -> Trace:
    return Trace(problem_id, "sample", (), (), (), None, None, Spent())


async def test_a_new_run_reads_nothing_and_finds_what_it_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.log.at_hand("p1")
        await store.recall("p1")
        assert store.log.get(key("p1")) is None
        store.log.put(key("p1"), CallRecord(b"{}", False))
        assert store.log.get(key("p1")) == CallRecord(b"{}", False)
        await store.finish(trace("p1"))  # frees the memory: from now on it is in the file alone
        assert not store.log.at_hand("p1")
        assert store.log.at_hand("p2")
        await store.recall("p1")
        assert store.log.at_hand("p1")
        assert store.log.get(key("p1")) == CallRecord(b"{}", False)


async def test_a_run_that_goes_on_reads_every_problem(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.log.put(key("p1"), CallRecord(b"{}", False))
    with opened(tmp_path) as store:
        assert not store.log.at_hand("p1")
        assert not store.log.at_hand("p2")
        await store.recall("p2")
        assert store.log.at_hand("p2")
        assert store.log.get(key("p1")) == CallRecord(b"{}", False)


def test_a_reader_beside_a_writer_reads_every_problem(tmp_path: Path) -> None:
    with opened(tmp_path) as store, RunStore.read(tmp_path) as reader:
        assert not reader.log.at_hand("p1")
        store.log.put(key("p1"), CallRecord(b"{}", False))
        store.examples()  # waits until it is committed
        assert reader.log.get(key("p1")) == CallRecord(b"{}", False)
