"""The run directory: call log, traces, lock and writer."""

from ponder.store.base import CallKey, CallLog, CallRecord
from ponder.store.log import MemoryCallLog
from ponder.store.reading import Grader, Grades, Opening, RunReader
from ponder.store.run import RunStore
from ponder.store.score_sets import AddedScores, ScoreSet, fingerprint

__all__ = [
    "AddedScores",
    "CallKey",
    "CallLog",
    "CallRecord",
    "Grader",
    "Grades",
    "MemoryCallLog",
    "Opening",
    "RunReader",
    "RunStore",
    "ScoreSet",
    "fingerprint",
]
