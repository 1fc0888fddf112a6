"""Whether more repeats may join those that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

from benchmarks.command import options_in
from benchmarks.items import Item
from benchmarks.machine import Machine
from benchmarks.options import Options
from benchmarks.results import Part, Record
from ponder.errors import UsageError


def check_more(record: Record, todo: Iterable[tuple[Item, Options]], machine: Machine) -> None:
    """Raise UsageError where the repeats of a part would not be repeats of one measurement."""
    for item, options in todo:
        name = item.part(options)
        before = record.parts.get(name)
        if item.once:
            raise UsageError(f"{name} is one run, whatever --repeats says: leave out --more")
        if before is not None and machine.commit.endswith(("-dirty", "unknown")):
            raise UsageError(f"{name}: no commit holds this code: commit it, or leave out --more")
        if before is not None and (odd := list(_differences(before, options, machine))):
            raise UsageError(f"{name}: {'; '.join(odd)}: leave out --more")


def _differences(before: Part, options: Options, machine: Machine) -> Iterator[str]:
    for one, other in ((before.machine, machine), (_told(before), replace(options, repeats=1))):
        for name in [field.name for field in fields(one)]:
            was, now = getattr(one, name), getattr(other, name)
            if was != now:
                yield f"`{name}` was {was!r}, now {now!r}"


def _told(before: Part) -> Options:
    return replace(options_in(before.command), repeats=1)
