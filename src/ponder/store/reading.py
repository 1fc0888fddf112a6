"""What a stored run holds, without writing to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self, cast

from ponder.errors import StoreError
from ponder.store.database import DATABASE_NAME, Database, not_begun
from ponder.store.log import StoredCallLog, path_of, storable
from ponder.store.records import EXAMPLE, TRACE
from ponder.store.score_sets import ScoreSet, ScoreSets, with_scores
from ponder.store.study import Settings
from ponder.store.writer import Writer
from ponder.trace import Trace
from ponder.types import Example, NodePath

Grader = Literal["imported", "ours"]
Grades = dict[tuple[str, NodePath], bool]
"""Whether a candidate is right, by problem id and candidate path."""


def holds_run(folder: Path) -> bool:
    """Whether there is a run in `folder`, of whatever state."""
    return (folder / DATABASE_NAME).exists()


class Opening(NamedTuple):
    """One time that a process wrote to the run."""

    opened: str
    """UTC, ISO 8601."""
    host: Settings
    provenance: Settings | None
    """Versions, hardware, hashes; None if the process told none."""


class RunReader:
    """A run directory, read: sees what is committed, needs no lock, works beside a writer.

    Every method reads the disk at once: call them outside an event loop, or in a thread.
    Raises StoreError, in one line, for a folder that is no run, a newer schema or a damaged file.
    """

    def __init__(self, folder: Path, writer: Writer | None = None) -> None:
        self.folder = folder
        self._database = Database(folder / DATABASE_NAME, writer.flush if writer else None)
        self._log = StoredCallLog(self._database, writer.submit if writer else None)
        self._score_sets = ScoreSets(self._database)

    @property
    def log(self) -> StoredCallLog:
        """The run's call log."""
        return self._log

    def recipe(self) -> Settings:
        """`{"study": ..., "host": ...}`: what decides results, and where they were last made."""
        rows = self._database.rows("SELECT content FROM study")
        if not rows:
            raise StoreError(not_begun(self.folder))
        return {"study": _settings(rows[0][0]), "host": self.openings()[-1].host}

    def openings(self) -> list[Opening]:
        """Every time that a process wrote to the run, oldest first."""
        rows = self._database.rows("SELECT opened, host, provenance FROM openings ORDER BY id")
        return [
            Opening(str(opened), _settings(host), None if told is None else _settings(told))
            for opened, host, told in rows
        ]

    def provenance(self) -> Settings:
        """What the last process that told it said it ran on; empty if none did."""
        told = [one.provenance for one in self.openings() if one.provenance is not None]
        return told[-1] if told else {}

    def examples(self) -> list[Example]:
        """The run's problems with their references, in the order in which they were added."""
        rows = self._database.rows("SELECT problem_id, record FROM examples ORDER BY position")
        return [EXAMPLE.decode(cast(bytes, record), self._where(name)) for name, record in rows]

    def digests(self) -> dict[str, str]:
        """`Trace.digest()` of each finished problem, by problem id, without reading its trace."""
        rows = self._database.rows("SELECT problem_id, digest FROM traces")
        return {str(name): str(digest) for name, digest in rows}

    def finished(self) -> set[str]:
        """Ids of the problems whose trace is committed."""
        return set(self.digests())

    def trace(self, problem_id: str) -> Trace:
        """The trace of one finished problem."""
        rows = self._database.rows(
            "SELECT record FROM traces WHERE problem_id = ?", storable(problem_id)
        )
        if not rows:
            raise StoreError(f"{self.folder} holds no finished problem {problem_id!r}")
        return TRACE.decode(cast(bytes, rows[0][0]), self._where(problem_id))

    def traces(self) -> Iterator[Trace]:
        """The traces of the problems that are finished now, one in memory at a time.

        In the examples' order; those of unknown problems follow by id.
        """
        rows = self._database.rows(
            "SELECT problem_id FROM traces LEFT JOIN examples USING (problem_id)"
            " ORDER BY position IS NULL, position, problem_id"
        )
        return (self.trace(str(name)) for (name,) in rows)

    def scored_traces(self) -> Iterator[Trace]:
        """The traces, with added scores among those of their candidates."""
        sets = {name: self.added_scores(name) for name in self.score_sets()}
        return (with_scores(trace, sets) for trace in self.traces())

    def score_sets(self) -> dict[str, Settings]:
        """The added sets of scores by name, oldest first: what gave them, and how."""
        return self._score_sets.settings()

    def added_scores(self, name: str) -> ScoreSet:
        """The scores of one added set; empty if there is none."""
        return self._score_sets.read(name)

    def grades(self, grader: Grader) -> Grades:
        """The grades that one grader gave; empty if it gave none."""
        rows = self._database.rows(
            "SELECT problem_id, path, correct FROM grades WHERE grader = ?", grader
        )
        return {(str(name), path_of(str(path))): bool(correct) for name, path, correct in rows}

    def close(self) -> None:
        """Free the file; a second call does nothing."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _where(self, problem_id: object) -> str:
        return f"{self._database.path}, problem {problem_id!r}"


def _settings(text: object) -> Settings:
    content: Settings = json.loads(str(text))
    return content
