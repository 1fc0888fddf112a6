"""What can be measured, by name: another measurement is one file and one line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from benchmarks import early_stopping, efficiency, grading, lockstep, overhead, profiling, waiting
from benchmarks.options import Options


@dataclass(frozen=True, slots=True)
class Item:
    """One measurement: how it is taken, kept, and told."""

    name: str
    title: str
    format: TypeAdapter[Any]
    """Of its results: they are kept as the JSON of a dataclass."""
    measure: Callable[[Options], Awaitable[object]]
    section: Callable[[Any, Options], Iterable[str]]
    """The lines of the page, from the results and what they were taken with."""
    verifiers: tuple[str, ...] = ()
    """With which it is taken, each a part of its own; empty: it uses neither engine nor verifier
    of the options."""
    reads_pool: bool = False
    """It takes the samples of a run as well."""
    once: bool = False
    """One run, whatever the repeats."""

    def part(self, options: Options) -> str:
        """Under which name the results are kept."""
        used = (options.engine, options.verifier) if self.verifiers else ()
        pool = "pool" if options.pool is not None else None
        return "/".join(filter(None, (self.name, *used, pool, options.label)))


_BOTH = ("arithmetic", "value-head")
_ALL = (
    Item(
        overhead.NAME,
        "Overhead of a node",
        TypeAdapter(overhead.Results),
        overhead.measure,
        overhead.section,
    ),
    Item(
        profiling.NAME,
        "Profile of a node",
        TypeAdapter(profiling.Results),
        profiling.measure,
        profiling.section,
        once=True,
    ),
    Item(
        efficiency.NAME,
        "Efficiency",
        TypeAdapter(efficiency.Results),
        efficiency.measure,
        efficiency.section,
        _BOTH,
    ),
    Item(
        lockstep.NAME,
        "Against lock-step",
        TypeAdapter(lockstep.Results),
        lockstep.measure,
        lockstep.section,
        _BOTH,
    ),
    Item(
        waiting.NAME,
        "Verifier",
        TypeAdapter(waiting.Results),
        waiting.measure,
        waiting.section,
        ("value-head",),
    ),
    Item(
        grading.NAME,
        "Grading and voting",
        TypeAdapter(grading.Results),
        grading.measure,
        grading.section,
    ),
    Item(
        early_stopping.NAME,
        "Early stopping",
        TypeAdapter(early_stopping.Results),
        early_stopping.measure,
        early_stopping.section,
        reads_pool=True,
    ),
)
ITEMS: Mapping[str, Item] = {item.name: item for item in _ALL}
"""In the order of the page."""
