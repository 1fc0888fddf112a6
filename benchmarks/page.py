"""docs/benchmarks.md, written from the raw results."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.items import ITEMS, Item
from benchmarks.machine import Machine
from benchmarks.results import Part, Record

_OPENING = """# Benchmarks

Written by `make bench` from [benchmarks.json](benchmarks.json), which holds every repeat. Figures \
are ratios taken side by side in one run: the median, and the range of the repeats in brackets. \
`python -m benchmarks --help` says how to take one of them alone. What names vLLM runs in \
`.venv-vllm`; `make bench-vllm` makes that and the model's folder.
"""


def page(record: Record) -> str:
    """The whole page: what was measured, in the order of the items."""
    return "\n".join([_OPENING, *_sections(record)])


def _sections(record: Record) -> Iterator[str]:
    for item in ITEMS.values():
        taken = {name: part for name, part in record.parts.items() if _of(name) == item.name}
        if taken:
            yield f"## {item.title}\n"
        for name, part in taken.items():
            if "/" in name:
                which = ", ".join(name.split("/")[1:])
                yield f"### {item.title}: {which}\n"
            yield from _lines(item, part)


def _lines(item: Item, part: Part) -> Iterator[str]:
    if part.size != "full":
        yield "Smallest size: it shows that the benchmark works, its figures say nothing.\n"
    yield from item.section(item.format.validate_python(part.results))
    yield ""
    yield f"`{part.command}`, {part.date}; {_told(part.machine)}."
    yield ""


def _told(machine: Machine) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    gpu = f", {machine.gpu}" if machine.gpu else ""
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB{gpu}, "
        f"{machine.system}, Python {machine.python}, {versions}, commit `{machine.commit}`"
    )


def _of(name: str) -> str:
    """The item that a part belongs to."""
    return name.partition("/")[0]
