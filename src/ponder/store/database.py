"""The SQLite file of a run: its tables, how it is opened, and its errors in words."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from ponder.errors import StoreError

APPLICATION_ID = 0x706F6E64
"""The letters "pond": tells a run from any other SQLite file."""
DATABASE_NAME = "run.sqlite"
_PATIENCE = 60.0
"""Seconds to wait for another program's transaction, an SQLite shell's for instance."""

_NAMED = 8
"""Runs that a message names at most."""

_RUN = (
    # What was asked, under which settings.
    "CREATE TABLE study (content TEXT NOT NULL) STRICT",
    "CREATE TABLE openings (id INTEGER PRIMARY KEY, opened TEXT NOT NULL, host TEXT NOT NULL,"
    " provenance TEXT) STRICT",
    "CREATE TABLE examples (position INTEGER PRIMARY KEY, problem_id TEXT NOT NULL UNIQUE,"
    " record BLOB NOT NULL) STRICT",
    # What happened: the truth.
    "CREATE TABLE calls (id INTEGER PRIMARY KEY, problem_id TEXT NOT NULL, path TEXT NOT NULL,"
    " kind TEXT NOT NULL, identity TEXT NOT NULL, request TEXT NOT NULL, content BLOB NOT NULL,"
    " failed INTEGER NOT NULL) STRICT",
    "CREATE INDEX calls_by_problem ON calls (problem_id)",
    # `digest` is derived from `record`.
    "CREATE TABLE traces (problem_id TEXT PRIMARY KEY, digest TEXT NOT NULL,"
    " record BLOB NOT NULL) STRICT",
    "CREATE TABLE grades (grader TEXT NOT NULL, problem_id TEXT NOT NULL, path TEXT NOT NULL,"
    " correct INTEGER NOT NULL, PRIMARY KEY (grader, problem_id, path)) STRICT, WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_ADDED_SCORES = (
    "CREATE TABLE score_sets (name TEXT PRIMARY KEY, settings TEXT NOT NULL) STRICT",
    # `text` is the fingerprint of the text that was scored.
    "CREATE TABLE scores (name TEXT NOT NULL, problem_id TEXT NOT NULL, path TEXT NOT NULL,"
    " text TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (name, problem_id, path)) STRICT,"
    " WITHOUT ROWID",
)
SCHEMA = (_RUN, _ADDED_SCORES)
"""For each version, what it adds to the one before."""
SCHEMA_VERSION = len(SCHEMA)
"""Written as SQLite's `user_version`; a file of a higher one is refused."""

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: free space and run again; what was committed is kept",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a copy, or start in another folder",
    sqlite3.SQLITE_NOTADB: "this is no run's file, or it is damaged: choose another folder",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check the folder's permissions",
    sqlite3.SQLITE_READONLY: "the file cannot be written: check the folder's permissions",
}

Row = tuple[object, ...]


def in_words(error: Exception, path: Path) -> str:
    """One line that names the file and the mend."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"{path}: {_ADVICE[sqlite3.SQLITE_FULL] if full else error.strerror or error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code
    return f"{path}: {_ADVICE.get(code, error)}"


@contextmanager
def stated(path: Path) -> Iterator[None]:
    """Turn errors of the database and of the file system into StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(in_words(error, path)) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def connect_writing(path: Path) -> sqlite3.Connection:
    """The writing connection; makes the file if there is none, brings an older one up to date.

    The caller holds the run's lock.

    A power loss costs the last transactions, never the file: WAL with `synchronous = NORMAL`.
    """
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        version = _checked_version(connection, path) if tables else 0
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < SCHEMA_VERSION:
            with transaction(connection):
                for statement in chain.from_iterable(SCHEMA[version:]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; it sees what is committed, also while a writer runs."""
    if not path.is_file():
        raise StoreError(_no_run(path.parent))
    # Beside a WAL file SQLite needs a shared one; where it cannot be made, nothing changes either.
    frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if frozen else ''}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not tables:
            raise StoreError(not_begun(path.parent))
        _checked_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _no_run(folder: Path) -> str:
    """Of a folder without a run's file: the first runs below it, two levels deep, are named."""
    depths = (f"*/{DATABASE_NAME}", f"*/*/{DATABASE_NAME}")
    found = [path.parent.relative_to(folder) for depth in depths for path in folder.glob(depth)]
    names = sorted(map(str, found), key=lambda name: (len(name), name))
    if not names:
        return f"{folder} is no run: it has no {DATABASE_NAME}"
    held = ", ".join([*names[:_NAMED], *(["..."] if len(names) > _NAMED else [])])
    return f"{folder} is no run: it holds the runs {held}: name one"


def not_begun(folder: Path) -> str:
    """Of a run whose process ended as it began, in a line."""
    return f"{folder} holds no run yet: its start was cut short, and the same command starts it"


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """The file's schema version; raises StoreError for another program's file or a newer one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file, but no run's: choose another folder")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this ponder reads up to {SCHEMA_VERSION}: "
            "update ponder"
        )
    return int(version)


class Database:
    """Reads one run's file, from any thread."""

    def __init__(self, path: Path, before_reading: Callable[[], None] | None = None) -> None:
        self.path = path
        self._before_reading = before_reading
        # To free the connection under a read that another thread makes would end the process.
        self._reading = threading.Lock()
        with stated(path):
            self._connection = connect_reading(path)

    def rows(self, sql: str, *values: str) -> list[Row]:
        """All rows of a query, once what was written before it is committed."""
        if self._before_reading is not None:
            self._before_reading()
        return self.committed_rows(sql, *values)

    def committed_rows(self, sql: str, *values: str) -> list[Row]:
        """All rows of a query as of the last transaction: waits for no write."""
        with stated(self.path), self._reading:
            return self._connection.execute(sql, values).fetchall()

    def has(self, table: str) -> bool:
        """Whether the file has this table: one that an older version made may not."""
        return bool(self.rows("SELECT 1 FROM sqlite_schema WHERE name = ?", table))

    def close(self) -> None:
        """Free the connection once a read has ended; a second call does nothing."""
        with self._reading:
            self._connection.close()
