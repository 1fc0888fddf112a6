"""The unit that ponder's own time is counted in: one await and the JSON of one node's record."""

from __future__ import annotations

import asyncio
import json
import time
from typing import NamedTuple

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


class ItemTime(NamedTuple):
    """One turn of the loop."""

    seconds: float
    processor_seconds: float
    """Of all threads of the process."""

    def between(self, other: ItemTime) -> ItemTime:
        """The mean of two loops, one before and one after what is measured."""
        seconds = (self.seconds + other.seconds) / 2
        return ItemTime(seconds, (self.processor_seconds + other.processor_seconds) / 2)


async def item_time(record: list[object], items: int = ITEMS) -> ItemTime:
    """Times an await that goes through the event loop, and the record as JSON."""
    processor, started = time.process_time(), time.perf_counter()
    for _ in range(items):
        await asyncio.sleep(0)
        json.dumps(record)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    return ItemTime(seconds / items, processor / items)
