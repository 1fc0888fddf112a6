"""The run store: what is kept, compared, graded and refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import RecipeMismatchError, StoreError
from ponder.store import CallKey, CallLog, CallRecord, MemoryCallLog, RunStore
from ponder.trace import Node, Spent, Trace
from ponder.types import Example, Message, NodePath, Problem

STUDY: Mapping[str, object] = {
    "seed": 1,
    "strategy": {"name": "beam_search", "n": 4},
    "dataset": {"name": "built-in", "limit": 10},
}


def opened(
    folder: Path, study: Mapping[str, object] = STUDY, extends: Collection[str] = ()
) -> RunStore:
    return RunStore.open(
        folder, study=study, host={"slots": 2}, recipe_toml="seed = 1\n", extends=extends
    )


def traced(problem_id: str, text: str = "42") -> Trace:
    node = Node((0,), (), text, "eos", scores={"v": (0.1, 1.0)}, tokens=3)
    return Trace(problem_id, "sample", (node,), (), (), text, (0,), Spent(generated=3))


def started(folder: Path) -> None:
    """A run that holds a call."""
    with opened(folder) as store:
        store.log.put(called("a"), CallRecord(b"said", failed=False))


def asked(problem_id: str, reference: str = "42") -> Example:
    return Example(Problem.ask(f"What is {problem_id}?", problem_id), reference, extra={"k": [1]})


def called(problem_id: str, *path: int, request: str = "r") -> CallKey:
    return CallKey(problem_id, path, "sample", "model", request)


# The call log ------------------------------------------------------------------------------------


def check_log(log: CallLog) -> None:
    key, first, last = called("p", 0, 1), CallRecord(b"{}", True), CallRecord(b"\x00\xff", False)
    assert log.get(key) is None
    log.put(key, first)
    assert log.get(key) == first
    log.put(key, last)
    assert log.get(key) == last
    for other in (
        called("q", 0, 1),
        called("p", 0),
        called("p", 0, 1, request="other"),
        key._replace(kind="score"),
        key._replace(identity="other"),
    ):
        assert log.get(other) is None


def test_every_log_answers_the_last_record_of_exactly_its_key(tmp_path: Path) -> None:
    check_log(MemoryCallLog())
    with opened(tmp_path) as store:
        check_log(store.log)
    with RunStore.read(tmp_path) as run:
        assert run.log.get(called("p", 0, 1)) == CallRecord(b"\x00\xff", False)
        with pytest.raises(StoreError, match="open for reading only"):
            run.log.put(called("p", 0), CallRecord(b"", False))


async def test_a_resumed_run_recalls_calls_and_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.log.put(called("p", 0), CallRecord(b"before", False))
    with opened(tmp_path) as store:
        await store.recall("p")
        store.log.put(called("p", 1), CallRecord(b"after", False))
        await store.finish(traced("p"))
        store.log.put(called("p", 2), CallRecord(b"late", False))
        contents = [store.log.get(called("p", i)) for i in range(3)]
    assert [record.content for record in contents if record] == [b"before", b"after", b"late"]


async def test_a_record_put_while_its_problem_finishes_is_not_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        finishing = asyncio.create_task(store.finish(traced("p")))
        while not finishing.done():
            store.log.put(called("p", 0), CallRecord(b"late", False))
            await asyncio.sleep(0.001)
            assert store.log.get(called("p", 0)) is not None
        assert store.log.get(called("p", 0)) is not None


# Problems and traces -----------------------------------------------------------------------------


async def test_a_finished_problem_is_there_at_once_and_after_reopening(tmp_path: Path) -> None:
    with opened(tmp_path) as store, RunStore.read(tmp_path) as beside:
        assert beside.finished() == set()
        await store.finish(traced("p"))
        assert beside.finished() == {"p"}
        assert beside.trace("p") == traced("p")
    with opened(tmp_path) as store:
        assert store.finished() == {"p"}
        assert store.digests() == {"p": traced("p").digest()}
        with pytest.raises(StoreError, match="no finished problem 'q'"):
            store.trace("q")


async def test_traces_come_in_the_order_of_the_examples(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add_examples(asked(name) for name in "cab")
        async with asyncio.TaskGroup() as group:
            for name in "bxac":
                group.create_task(store.finish(traced(name)))
        assert [trace.problem_id for trace in store.traces()] == ["c", "a", "b", "x"]


async def test_a_problem_finished_again_replaces_its_trace(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.finish(traced("p"))
        await store.finish(traced("p", "43"))
        assert [trace.answer for trace in store.traces()] == ["43"]


async def test_our_grades_go_with_the_trace_that_they_were_of(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for name in ("p", "q"):
            await store.finish(traced(name))
        told: dict[tuple[str, NodePath], bool] = {("p", (0,)): True, ("q", (0,)): True}
        store.set_grades("ours", told)
        store.set_grades("imported", told)
        await store.finish(traced("p", "43"))
        assert store.grades("ours") == {("q", (0,)): True}
        assert store.grades("imported") == told


def test_examples_are_added_once_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add_examples([asked("b"), asked("a")])
    with opened(tmp_path) as store:
        store.add_examples([asked("a"), asked("c"), asked("b"), asked("c")])
        assert store.examples() == [asked("b"), asked("a"), asked("c")]
        with pytest.raises(StoreError, match="another problem under the id 'a'"):
            store.add_examples([asked("d"), asked("a", "43")])
        assert len(store.examples()) == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (asked("a", "43"), "its reference is '42' there, '43' here"),
        (
            Example(Problem.ask("What is b?", "a"), "42"),
            "its question is 'What is a?' there, 'What is b?' here",
        ),
        (
            Example(Problem.ask("So. " * 40 + "What?", "a"), "42"),
            "here: use another folder, or give the problem another id",
        ),
        (replace(asked("a"), problem=replace(asked("a").problem, choices=("x",))), "its choices"),
        (
            replace(
                asked("a"),
                problem=Problem((Message("user", "Now: What is a?"),), "a", "What is a?"),
            ),
            "its messages are not the same",
        ),
        (replace(asked("a"), level="3"), "its level is None there, '3' here"),
        (replace(asked("a"), extra={}), "its extra are not the same"),
    ],
)
def test_a_changed_example_tells_what_differs_and_the_mend(
    tmp_path: Path, given: Example, told: str
) -> None:
    with opened(tmp_path) as store:
        store.add_examples([asked("a")])
        with pytest.raises(StoreError) as caught:
            store.add_examples([given])
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_text_with_lone_surrogates_is_kept_and_an_id_with_one_refused(
    tmp_path: Path,
) -> None:
    broken = "p\ud800"
    with opened(tmp_path) as store:
        await store.finish(traced("p", "cut \ud83d"))
        assert store.trace("p") == traced("p", "cut \ud83d")
        with pytest.raises(StoreError, match=r"problem id 'p\\ud800' has a lone surrogate"):
            await store.finish(traced(broken))
        with pytest.raises(StoreError, match="lone surrogate"):
            store.add_examples([asked(broken)])
        with pytest.raises(StoreError, match="lone surrogate"):
            store.log.put(called(broken, 0), CallRecord(b"", False))
        await store.finish(traced("q"))  # the writer goes on
        assert store.finished() == {"p", "q"}


def test_grades_are_kept_by_grader_and_later_ones_replace(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.set_grades("imported", {("p", (0,)): True, ("p", (10, 2)): False})
        store.set_grades("ours", {("p", (0,)): False})
        store.set_grades("imported", {("p", (10, 2)): True})
    with RunStore.read(tmp_path) as run:
        assert run.grades("imported") == {("p", (0,)): True, ("p", (10, 2)): True}
        assert run.grades("ours") == {("p", (0,)): False}


async def test_what_is_derived_can_be_rebuilt(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.finish(traced("p"))
        store.log.put(called("p", 0), CallRecord(b"", False))
    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute("UPDATE traces SET digest = 'wrong'")
    connection.close()
    with opened(tmp_path) as store:
        store.rebuild()
        assert store.digests() == {"p": traced("p").digest()}


async def test_a_corrupted_trace_is_named_and_the_others_can_be_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.finish(traced("good"))
        await store.finish(traced("bad"))
    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute(
            "UPDATE traces SET record = substr(record, 1, 20) WHERE problem_id = 'bad'"
        )
    connection.close()
    with RunStore.read(tmp_path) as run:
        assert run.trace("good") == traced("good")
        with pytest.raises(StoreError, match=r"run\.sqlite, problem 'bad': its trace is damaged"):
            list(run.traces())


# Recipe, host, provenance ------------------------------------------------------------------------


def test_the_recipe_is_kept_with_every_host_that_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with opened(folder) as store:
        store.set_provenance({"ponder": "0.1", "weights": Path("m.gguf")})
        assert store.provenance() == {"ponder": "0.1", "weights": "m.gguf"}
    other_host = {"slots": 8}
    with RunStore.open(folder, study=STUDY, host=other_host, recipe_toml="again\n") as store:
        assert store.recipe() == {"study": STUDY, "host": other_host}
        assert store.provenance() == {"ponder": "0.1", "weights": "m.gguf"}
        assert [opening.host for opening in store.openings()] == [{"slots": 2}, other_host]
        assert all(opening.opened.endswith("+00:00") for opening in store.openings())
    assert (folder / "recipe.toml").read_text() == "again\n"


def test_another_study_is_refused_with_every_key_and_both_values(tmp_path: Path) -> None:
    started(tmp_path)
    study = {
        "seed": 1,
        "strategy": {"name": "dvts", "n": 8},
        "dataset": {"name": "built-in"},
        "verifier": "random",
    }
    with pytest.raises(RecipeMismatchError) as caught:
        opened(tmp_path, study, extends=["strategy.n"])
    said = str(caught.value)
    assert said.count("\n") == 0
    assert 'strategy.name is "beam_search" there, "dvts" here' in said
    assert "dataset.limit is 10 there, not set here" in said
    assert 'verifier is not set there, "random" here' in said
    assert "strategy.n is" not in said
    assert "seed" not in said
    opened(tmp_path).close()  # the refusal changed nothing and let go of the lock


def test_a_run_without_a_call_and_a_trace_takes_another_study(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add_examples([asked("a")])
        store.set_provenance({"machine": "old"})
    with opened(tmp_path) as store:
        assert store.examples() == [asked("a")], "the same study goes on"
    with opened(tmp_path, {"seed": 2}) as store:
        assert store.recipe()["study"] == {"seed": 2}
        assert store.examples() == []
        assert store.provenance() == {}
        store.log.put(called("b"), CallRecord(b"said", failed=False))
    with pytest.raises(RecipeMismatchError, match="seed is 2 there, 1 here"):
        opened(tmp_path)


@pytest.mark.parametrize("extends", [["strategy.n", "dataset.limit"], ["strategy", "dataset"]])
def test_a_study_may_be_extended_and_the_new_values_are_kept(
    tmp_path: Path, extends: list[str]
) -> None:
    larger = {
        "seed": 1,
        "strategy": {"name": "beam_search", "n": 8},
        "dataset": {"name": "built-in", "limit": 20},
    }
    started(tmp_path)
    with opened(tmp_path, larger, extends) as store:
        assert store.recipe()["study"] == larger
    with pytest.raises(RecipeMismatchError, match=r"strategy\.n is 8 there, 4 here"):
        opened(tmp_path)


# Folders that are no run, or not ours to read ----------------------------------------------------


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match=r"is no run: it has no run\.sqlite"):
            RunStore.read(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file: File exists"):
        opened(tmp_path / "file")


def test_another_program_s_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    before = (tmp_path / "run.sqlite").read_bytes()
    for use in (opened, RunStore.read):
        with pytest.raises(StoreError, match=r"an SQLite file, but no run's"):
            use(tmp_path)
    assert (tmp_path / "run.sqlite").read_bytes() == before


def test_a_newer_schema_asks_for_an_update(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    for use in (opened, RunStore.read):
        with pytest.raises(StoreError, match="schema version 7, this ponder reads up to 2: update"):
            use(tmp_path)


async def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for name in "abcdefghij":
            await store.finish(traced(name, os.urandom(4000).hex()))
    path = tmp_path / "run.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xee" * (len(content) - 4096)
    path.write_bytes(content)
    with RunStore.read(tmp_path) as run, pytest.raises(StoreError, match="damaged"):
        run.finished()
    path.write_bytes(b"no database at all" * 100)
    for use in (opened, RunStore.read):
        with pytest.raises(StoreError, match=r"run\.sqlite: .*damaged") as caught:
            use(tmp_path)
        assert "\n" not in str(caught.value)


async def test_a_folder_that_nobody_may_write_is_read_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where a log lies beside the file: what it holds would be left out."""
    connect, modes = sqlite3.connect, list[str]()

    def noting(address: str, **options: Any) -> sqlite3.Connection:
        modes.append(address.partition("?")[2])
        connection: sqlite3.Connection = connect(address, **options)
        return connection

    with opened(tmp_path) as store:
        await store.finish(traced("p"))
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr(sqlite3, "connect", noting)
        with RunStore.read(tmp_path) as run:
            assert run.trace("p") == traced("p")
    with RunStore.read(tmp_path) as run:
        assert run.trace("p") == traced("p")
    assert modes == ["mode=ro", "mode=ro&immutable=1"]


def test_closing_twice_does_nothing_and_leaves_one_plain_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "recipe.toml",
        "run.lock",
        "run.sqlite",
    ]
    with pytest.raises(StoreError, match="closed"):
        store.log.put(called("p", 0), CallRecord(b"", False))
    with pytest.raises(StoreError, match="the run is closed"):
        store.finished()
