"""The unit that ponder's own time is counted in: one await and the JSON of one node's record."""

from __future__ import annotations

import asyncio
import json
import time

from ponder.store.records import TRACE
from ponder.store.run import RunStore

ITEMS = 10_000
"""Turns of the calibration loop."""


def record_of(store: RunStore) -> list[object]:
    """What a run keeps of one node: its sample call, its score call, its place in the trace."""
    trace = next(iter(store.traces()))
    calls = store.log.load(trace.problem_id)
    path = trace.nodes[0].path
    sample = next(kept for key, kept in calls.items() if key.kind == "sample" and key.path == path)
    score = next(kept for key, kept in calls.items() if key.kind == "score")
    node = TRACE.adapter.dump_python(trace)["nodes"][0]
    return [json.loads(sample.content), json.loads(score.content), node]


async def item_seconds(record: list[object], items: int = ITEMS) -> float:
    """Seconds of one turn: an await that goes through the event loop, and the record as JSON."""
    started = time.perf_counter()
    for _ in range(items):
        await asyncio.sleep(0)
        json.dumps(record)
    return (time.perf_counter() - started) / items
