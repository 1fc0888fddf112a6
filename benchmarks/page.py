"""docs/benchmarks.md, written from the raw results."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.command import options_in
from benchmarks.items import ITEMS, Item
from benchmarks.machine import Machine
from benchmarks.results import Part, Record

_OPENING = """# Benchmarks

Each part is taken alone by the command beneath it and joins [benchmarks.json](benchmarks.json), \
which holds every repeat; this page is written from that file. Commands need `make dev` and are \
run by `.venv/bin/python` at the commit named (`-dirty`: with changes beside it): they measure the \
code that they are run from. What names vLLM runs by `.venv-vllm/bin/python`; `make vllm-model` \
makes that and the model's folder first. Figures are ratios taken side by side in one run: the \
median, and the range of the repeats in brackets, where there are several.
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
    repeats = 1 if item.once else part.repeats
    yield f"{repeats} {'repeat' if repeats == 1 else 'repeats'}.\n"
    options = options_in(part.command)
    yield from item.section(item.format.validate_python(part.results), options)
    yield ""
    yield f"`{part.command}` at commit `{part.machine.commit}`, {part.date}; {_told(part.machine)}."
    yield ""


def _told(machine: Machine) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    gpu = f", {machine.gpu}" if machine.gpu else ""
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB{gpu}, "
        f"{machine.system}, Python {machine.python}, {versions}"
    )


def _of(name: str) -> str:
    """The item that a part belongs to."""
    return name.partition("/")[0]
