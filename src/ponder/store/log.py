"""Call logs: in memory for library use, and in a run's file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, cast

from ponder.errors import StoreError
from ponder.store.base import CallKey, CallRecord
from ponder.store.database import Database
from ponder.store.writer import Write
from ponder.types import NodePath

Calls = dict[CallKey, CallRecord]

_INSERT = (
    "INSERT INTO calls (problem_id, path, kind, identity, request, content, failed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# In order of appending, so that a key's last record is the one that stays.
_SELECT = (
    "SELECT path, kind, identity, request, content, failed FROM calls WHERE problem_id = ?"
    " ORDER BY id"
)

_ANY = "SELECT 1 FROM calls LIMIT 1"


class MemoryCallLog:
    """A call log that lives as long as the process."""

    def __init__(self) -> None:
        self._calls: Calls = {}

    def get(self, key: CallKey) -> CallRecord | None:
        return self._calls.get(key)

    def put(self, key: CallKey, record: CallRecord) -> None:
        self._calls[key] = record

    def load(self, problem_id: str) -> Calls:
        """The problem's calls by key."""
        return {key: record for key, record in self._calls.items() if key.problem_id == problem_id}


class StoredCallLog:
    """The call log of a run's file, read into memory problem by problem.

    `submit` hands writes to the run's writer; None for a run that is open for reading, where
    `put` raises StoreError.
    """

    def __init__(self, database: Database, submit: Callable[[Write], None] | None = None) -> None:
        self._database = database
        self._submit = submit
        self._problems: dict[str, Calls] = {}
        self._appended: dict[str, int] = {}
        self._loading = threading.Lock()
        # The only writer of a file without calls knows all that it will ever hold.
        self._began_empty = submit is not None and not database.committed_rows(_ANY)

    def get(self, key: CallKey) -> CallRecord | None:
        """The record under `key`; reads the file if the problem is not in memory yet."""
        return self.load(key.problem_id).get(key)

    def put(self, key: CallKey, record: CallRecord) -> None:
        """Append; returns at once, the record is durable with its transaction."""
        if self._submit is None:
            raise StoreError(f"{self._database.path} is open for reading only")
        problem_id, path, *names = key
        calls = self.load(problem_id)
        self._submit(Write(_INSERT, [(problem_id, path_text(path), *names, *record)]))
        calls[key] = record
        self._appended[problem_id] = self.appended(problem_id) + 1

    def load(self, problem_id: str) -> Calls:
        """The calls of one problem, read from the file the first time."""
        known = self._problems.get(problem_id)
        return self._read(problem_id) if known is None else known

    def _read(self, problem_id: str) -> Calls:
        with self._loading:
            if problem_id not in self._problems:
                unread = not self.at_hand(storable(problem_id))
                self._problems[problem_id] = dict(self.records(problem_id) if unread else ())
            return self._problems[problem_id]

    def at_hand(self, problem_id: str) -> bool:
        """What there is of a problem is in memory: `load` need not read the file."""
        new = self._began_empty and not self.appended(problem_id)
        return new or problem_id in self._problems

    def records(self, problem_id: str) -> list[tuple[CallKey, CallRecord]]:
        """All that the file holds of a problem, oldest first; a key's last record counts."""
        rows = self._database.committed_rows(_SELECT, storable(problem_id))
        return [_call(problem_id, *row) for row in rows]

    def appended(self, problem_id: str) -> int:
        """How many records of a problem were appended since the run was opened."""
        return self._appended.get(problem_id, 0)

    def forget(self, problem_id: str, appended: int) -> None:
        """Free a problem's memory, unless more than `appended` records may not be in the file."""
        with self._loading:
            if self.appended(problem_id) == appended:
                self._problems.pop(problem_id, None)


def _call(problem_id: str, *row: object) -> tuple[CallKey, CallRecord]:
    path, kind, identity, request, content, failed = row
    known_kind = cast(Literal["sample", "score"], kind)
    key = CallKey(problem_id, path_of(str(path)), known_kind, str(identity), str(request))
    return key, CallRecord(cast(bytes, content), bool(failed))


def path_text(path: NodePath) -> str:
    """A node's path as it is kept: "0.2.1"; empty for the root."""
    return ".".join(map(str, path))


def path_of(text: str) -> NodePath:
    """The inverse of `path_text`."""
    return tuple(map(int, text.split("."))) if text else ()


def storable(problem_id: str) -> str:
    """The same id; SQLite keeps UTF-8, so raises StoreError for a lone surrogate."""
    try:
        problem_id.encode()
    except UnicodeEncodeError:
        raise StoreError(
            f"problem id {problem_id!a} has a lone surrogate: give the problem another id"
        ) from None
    return problem_id
