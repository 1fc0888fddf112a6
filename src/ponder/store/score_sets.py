"""Scores that were added to a run's candidates after it: named sets, beside the grades."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import TypeAdapter

from ponder.errors import StoreError
from ponder.store.database import Database
from ponder.store.log import path_of, path_text, storable
from ponder.store.records import RecordFormat
from ponder.store.study import Settings, differences, plain
from ponder.store.writer import Write
from ponder.trace import Trace
from ponder.types import Candidate, NodePath, ScoreFailure, StepScores


class AddedScores(NamedTuple):
    """What a verifier said of one candidate."""

    text: str
    """Fingerprint of the text that it read; see `fingerprint`."""
    scores: StepScores | ScoreFailure

    def of(self, candidate: Candidate) -> bool:
        """They belong to the candidate as it is now: another text may have taken its place."""
        return self.text == fingerprint(candidate.text)


ScoreSet = Mapping[tuple[str, NodePath], AddedScores]
"""By problem id and candidate path."""

_SCORES: RecordFormat[StepScores | ScoreFailure] = RecordFormat(
    "scores", 1, TypeAdapter(StepScores | ScoreFailure)
)


def fingerprint(text: str) -> str:
    """Names a text: 64 bits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class ScoreSets:
    """The added scores of one run's file, read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settings(self) -> dict[str, Settings]:
        """By name, in the order added: what gave the scores, and how."""
        if not self._database.has("score_sets"):  # the file of an older ponder
            return {}
        rows = self._database.rows("SELECT name, settings FROM score_sets ORDER BY rowid")
        return {str(name): json.loads(str(settings)) for name, settings in rows}

    def read(self, name: str) -> ScoreSet:
        """The scores of one set; empty if there is none."""
        if not self._database.has("scores"):
            return {}
        sql = "SELECT problem_id, path, text, record FROM scores WHERE name = ?"
        return {
            (str(problem_id), path_of(str(path))): AddedScores(
                str(text), _SCORES.decode(cast(bytes, record), self._where(name, problem_id))
            )
            for problem_id, path, text, record in self._database.rows(sql, name)
        }

    def _where(self, name: str, problem_id: object) -> str:
        return f"{self._database.path}, scores {name!r} of problem {problem_id!r}"


def check_same_settings(name: str, kept: Settings, asked: Settings, folder: Path) -> None:
    """Raise StoreError, naming each key with both values, if a set was scored in another way."""
    differing = differences(kept, plain(asked))
    if differing:
        raise StoreError(
            f"{folder} has other scores called {name!r}: {'; '.join(differing)}: "
            "use these values, or another name"
        )


def is_in_vain(scores: ScoreSet) -> bool:
    """Nothing was scored: all are failures, or there are none."""
    return all(isinstance(added.scores, ScoreFailure) for added in scores.values())


def removing_writes(name: str) -> tuple[Write, Write]:
    """Remove a set and what it holds."""
    rows = [(storable(name),)]
    return (
        Write("DELETE FROM scores WHERE name = ?", rows),
        Write("DELETE FROM score_sets WHERE name = ?", rows),
    )


def settings_write(name: str, settings: Settings) -> Write:
    """Starts a set, unless it is there."""
    sql = "INSERT OR IGNORE INTO score_sets VALUES (?, ?)"
    return Write(sql, [(storable(name), json.dumps(plain(settings)))])


def scores_write(name: str, scores: ScoreSet) -> Write:
    """Adds scores to a set; a candidate's earlier ones are replaced."""
    rows = [
        (name, storable(problem_id), path_text(path), added.text, _SCORES.encode(added.scores))
        for (problem_id, path), added in scores.items()
    ]
    return Write("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", rows)


def with_scores(trace: Trace, sets: Mapping[str, ScoreSet]) -> Trace:
    """The trace with the sets' scores among those of its candidates; its digest stays."""
    if not sets:
        return trace
    candidates = [
        replace(candidate, scores={**candidate.scores, **_added(trace, candidate, sets)})
        for candidate in trace.candidates
    ]
    return replace(trace, candidates=tuple(candidates))


def _added(
    trace: Trace, candidate: Candidate, sets: Mapping[str, ScoreSet]
) -> dict[str, tuple[float, ...] | None]:
    known = {name: kept.get((trace.problem_id, candidate.path)) for name, kept in sets.items()}
    return {
        name: added.scores.scores if isinstance(added.scores, StepScores) else None
        for name, added in known.items()
        if added is not None and added.of(candidate)
    }
