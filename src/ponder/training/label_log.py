"""The record of Monte-Carlo labels: a line a step, so that a killed labelling goes on."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TextIO

from ponder.errors import StoreError
from ponder.store.lock import RunLock
from ponder.training.step_tree import Path as StepPath

LABELS_FOLDER = "labels"
"""In the run's directory; beside it lies the lock of the process that labels."""
VERSION = 1


class Counted(NamedTuple):
    """What came of the completions from one step."""

    right: int
    completions: int
    """Those that did not fail; at least 1."""

    @property
    def value(self) -> float:
        """The share that ended right."""
        return self.right / self.completions


class LabelLog:
    """A file of the run's folder, held by one process. A context.

    Each line is flushed as it is written: a kill loses the steps in flight, and a line that was
    cut off is dropped. Raises StoreError for labels of another model or another number of
    completions, RunLockedError while another process labels the run.
    """

    def __init__(self, run: Path, completions: int, seed: int, engine: str) -> None:
        self.completions = completions
        """From each step."""
        self.seed = seed
        """Of the completions."""
        self.path = run / LABELS_FOLDER / f"k={completions}-seed={seed}.jsonl"
        self._header = {"labels": VERSION, "completions": completions, "engine": engine}
        self.known: dict[tuple[str, StepPath], Counted] = {}
        """By problem id and step."""
        self._file: TextIO | None = None
        self._lock: RunLock | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = RunLock(self.path.parent)
        try:
            whole = self._read() if self.path.exists() else 0
            self._file = self.path.open("a", encoding="utf-8")
            self._file.truncate(whole)
            if not whole:
                self._write(self._header)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()

    def add(self, problem_id: str, step: StepPath, counted: Counted) -> None:
        """Keep what came of a step's completions."""
        self._write({"id": problem_id, "steps": step, **counted._asdict()})
        self.known[problem_id, step] = counted

    def _write(self, row: object) -> None:
        assert self._file is not None
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _read(self) -> int:
        """Take in what is there; returns where the last whole line ends, in bytes."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].splitlines()
        try:
            rows = [json.loads(line) for line in lines]
            self._check_header(rows[0] if rows else self._header)
            for row in rows[1:]:
                step = tuple(row["steps"])
                self.known[row["id"], step] = Counted(row["right"], row["completions"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.path} is damaged: remove it to label again: {error}") from None
        return whole

    def _check_header(self, found: dict[str, object]) -> None:
        for key, wanted in self._header.items():
            if found.get(key) != wanted:
                raise StoreError(
                    f"{self.path} was made with {key} {found.get(key)!r}, not {wanted!r}: "
                    "remove it, or use that"
                )
