"""A run directory, written: one strategy over one data set under one recipe.

RUN/recipe.toml   the recipe as last given
RUN/run.sqlite    call log, traces, examples, grades, provenance
RUN/run.lock      the lock of the process that writes
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from ponder.errors import StoreError
from ponder.store.database import DATABASE_NAME, connect_writing, stated, transaction
from ponder.store.files import replace_file
from ponder.store.lock import RunLock
from ponder.store.log import path_text, storable
from ponder.store.problems import other_problem
from ponder.store.reading import Grader, RunReader
from ponder.store.records import EXAMPLE, TRACE
from ponder.store.score_sets import (
    ScoreSet,
    check_same_settings,
    is_in_vain,
    removing_writes,
    scores_write,
    settings_write,
)
from ponder.store.study import Settings, check_same_study, plain
from ponder.store.writer import Storable, Write, Writer
from ponder.trace import Trace
from ponder.types import Example, NodePath

RECIPE_NAME = "recipe.toml"


class RunStore(RunReader):
    """The one writer of a run directory, until it is closed.

    What is written is queued for the writer's thread and returns at once; it is durable with its
    transaction, and a failure (a full disk) is raised by the next call. Reading waits for what was
    written before it. In an event loop use `log.put`, `recall` and `finish`, which never wait for
    the disk there.
    """

    def __init__(self, folder: Path, writer: Writer, lock: RunLock) -> None:
        super().__init__(folder, writer)
        self._writer = writer
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        study: Mapping[str, object],
        host: Mapping[str, object],
        recipe_toml: str,
        extends: Collection[str] = (),
        check: Callable[[Settings], None] = lambda _kept: None,
    ) -> RunStore:
        """Start a run in `folder`, or go on with the one that is there.

        `extends` names the dotted keys of `study` that may differ from the run's ("n"); the new
        values are kept then, and `check` may refuse the run's own. `host` may always differ, and is
        kept with the time. A run without a call and a trace holds nothing to lose, and takes any
        study. Raises RunLockedError while another process writes, RecipeMismatchError for another
        study.
        """
        path = folder / DATABASE_NAME
        with ExitStack() as undo, stated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = RunLock(folder)
            undo.callback(lock.release)
            with stated(path):
                connection = connect_writing(path)
                undo.callback(connection.close)
                _record_opening(connection, folder, plain(study), plain(host), extends, check)
            replace_file(folder / RECIPE_NAME, recipe_toml)
            writer = Writer(connection, path)
            undo.callback(writer.close)
            store = cls(folder, writer, lock)
            undo.pop_all()
        return store

    @staticmethod
    def read(folder: Path) -> RunReader:
        """The run in `folder`, for reading alone: without lock, also while it is written."""
        return RunReader(folder)

    async def recall(self, problem_id: str) -> None:
        """Bring a problem's recorded calls into memory, so that `log` need not read the disk."""
        if not self._log.at_hand(problem_id):
            await asyncio.to_thread(self._log.load, problem_id)

    async def finish(self, trace: Trace, *, last: Callable[[], bool] = lambda: False) -> None:
        """Keep a problem's trace; returns once it is committed, with all that was put before.

        A trace of the same problem is replaced, and our grades of its candidates go. `last` says
        that no other is on its way: the transaction then waits for none to share it. Raises
        StoreError if it cannot be kept.
        """
        appended = self._log.appended(trace.problem_id)
        row = await asyncio.to_thread(_trace_row, trace)
        # What was said of an earlier trace's candidates may not be true of those at the same paths.
        grades = "DELETE FROM grades WHERE grader = 'ours' AND problem_id = ?"
        self._writer.submit(Write(grades, [(trace.problem_id,)]))
        sql = "INSERT OR REPLACE INTO traces (problem_id, digest, record) VALUES (?, ?, ?)"
        await self._writer.commit(sql, row, hurry=last())
        self._log.forget(trace.problem_id, appended)

    def add_examples(self, examples: Iterable[Example]) -> None:
        """Add problems at the end; one that the run has already is left where it stands.

        Raises StoreError, and adds none, if the run has another problem under the same id.
        """
        kept = {example.problem.id: example for example in self.examples()}
        rows: list[tuple[Storable, ...]] = []
        for example in examples:
            name, record = storable(example.problem.id), EXAMPLE.encode(example)
            # Compared as they come back: tuples in `extra` do so as lists.
            read_back = EXAMPLE.decode(record, name)
            if kept.setdefault(name, read_back) != read_back:
                raise StoreError(other_problem(self.folder, kept[name], read_back))
            rows.append((name, record))
        sql = "INSERT OR IGNORE INTO examples (problem_id, record) VALUES (?, ?)"
        self._writer.submit(Write(sql, rows))

    def set_grades(self, grader: Grader, grades: Mapping[tuple[str, NodePath], bool]) -> None:
        """Keep whether candidates are right, in one transaction; earlier grades are replaced."""
        rows = [
            (grader, storable(problem_id), path_text(path), int(correct))
            for (problem_id, path), correct in grades.items()
        ]
        self._writer.submit(Write("INSERT OR REPLACE INTO grades VALUES (?, ?, ?, ?)", rows))

    def open_scores(self, name: str, settings: Settings) -> None:
        """Start a set of scores for the candidates, or go on with it.

        `settings` says what gives the scores, and how. A set of other settings that holds failures
        alone is started anew. Raises StoreError, naming both, if it holds scores of other settings.
        """
        kept = self.score_sets().get(name)
        if kept is not None and kept != plain(settings):
            if not is_in_vain(self.added_scores(name)):
                check_same_settings(name, kept, settings, self.folder)
            for write in removing_writes(name):
                self._writer.submit(write)
        self._writer.submit(settings_write(name, settings))

    def add_scores(self, name: str, scores: ScoreSet) -> None:
        """Keep scores in a set, in one transaction; a candidate's earlier ones are replaced."""
        self._writer.submit(scores_write(name, scores))

    def set_provenance(self, provenance: Mapping[str, object]) -> None:
        """Say what this process runs on: versions, hardware, hashes; JSON values only."""
        sql = "UPDATE openings SET provenance = ? WHERE id = (SELECT max(id) FROM openings)"
        self._writer.submit(Write(sql, [(json.dumps(plain(provenance)),)]))

    def rebuild(self) -> None:
        """Derive again what is not the truth: the indices, and the digest of each trace.

        Raises StoreError naming the problem of the first trace that cannot be read.
        """
        self._writer.submit(Write("REINDEX", [()]))
        rows = [(trace.digest(), trace.problem_id) for trace in self.traces()]
        self._writer.submit(Write("UPDATE traces SET digest = ? WHERE problem_id = ?", rows))
        self._writer.flush()

    def close(self) -> None:
        """Commit what is queued and let go of the run; a second call does nothing.

        Raises StoreError if anything was lost.
        """
        self._database.close()  # first: SQLite tidies up when the last one to close may write
        try:
            self._writer.close()
        finally:
            self._lock.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:  # else the error that ended the block says more
                raise


def _record_opening(
    connection: sqlite3.Connection,
    folder: Path,
    study: Settings,
    host: Settings,
    extends: Collection[str],
    check: Callable[[Settings], None],
) -> None:
    with transaction(connection):
        row = connection.execute("SELECT content FROM study").fetchone()
        kept = None if row is None else json.loads(row[0])
        if kept is not None and kept != study:
            if _is_empty(connection):
                _clear(connection)
            else:
                check(kept)
                check_same_study(folder, kept, study, extends)
        connection.execute("DELETE FROM study")
        connection.execute("INSERT INTO study VALUES (?)", (json.dumps(study),))
        connection.execute(
            "INSERT INTO openings (opened, host) VALUES (?, ?)",
            (datetime.now(UTC).isoformat(timespec="seconds"), json.dumps(host)),
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Nothing was drawn, scored or imported."""
    tables = ("calls", "traces")
    return not any(connection.execute(f"SELECT 1 FROM {t} LIMIT 1").fetchone() for t in tables)  # noqa: S608


def _clear(connection: sqlite3.Connection) -> None:
    """Take out what another study's start has left."""
    for table in ("openings", "examples", "grades", "score_sets", "scores"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608


def _trace_row(trace: Trace) -> tuple[Storable, ...]:
    return storable(trace.problem_id), trace.digest(), TRACE.encode(trace)
