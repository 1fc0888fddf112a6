"""Takes measurements: `python -m benchmarks ITEM ...`."""

from __future__ import annotations

import asyncio
import datetime
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.command import DEFAULTS, command_of, options_of, parser
from benchmarks.items import ITEMS, Item
from benchmarks.joining import check_more
from benchmarks.machine import Machine, this_machine
from benchmarks.options import Options
from benchmarks.page import page
from benchmarks.results import Part, Record, joined
from ponder.cli.collector import collect_seldom
from ponder.errors import PonderError


def main(arguments: Sequence[str]) -> int:
    """Measure, part by part; each is written down before the next one begins."""
    reader = parser()
    chosen = reader.parse_args(arguments)
    options = options_of(chosen)
    items = [] if chosen.page else [ITEMS[name] for name in chosen.items or ITEMS]
    if options.pool is not None and (odd := [item.name for item in items if not item.reads_pool]):
        reader.error(f"argument --pool: not of {', '.join(odd)}")
    if options.score is not None and options.pool is None:
        reader.error("argument --score: names scores of a pool, give --pool too")
    output = Path(chosen.output)
    todo = [
        (item, replace(options, verifier=verifier))
        for item in items
        for verifier in _verifiers(item, chosen.verifier)
    ]
    try:
        record = Record.load(output)  # an unusable file is found before anything is measured
        machine = this_machine()  # and the commit is that of the code that was read for it
        if chosen.more:
            check_more(record, todo, machine)
        for item, own in todo:
            _take(item, own, output, machine, more=chosen.more)
        output.with_suffix(".md").write_text(page(Record.load(output)))
    except PonderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _verifiers(item: Item, named: str | None) -> Sequence[str]:
    """With which verifiers the item is taken; once where it needs none."""
    if not item.verifiers:
        return [DEFAULTS.verifier]
    return item.verifiers if named is None else [named]


def _take(item: Item, options: Options, output: Path, machine: Machine, *, more: bool) -> None:
    part = item.part(options)
    before = Record.load(output).parts.get(part) if more else None
    if before is not None:
        options = replace(options, first=before.repeats)
    print(f"{part} ...", file=sys.stderr, flush=True)
    results = asyncio.run(_measured(item, options))
    if before is not None:
        results = joined(item.format.validate_python(before.results), results)
    content = item.format.dump_python(results, mode="json")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    repeats = 1 if item.once else options.turns.stop
    command = command_of(item, replace(options, first=0, repeats=repeats))
    taken = Part(command, today, options.size, repeats, machine, content)
    Record.load(output).with_part(part, taken).save(output)


async def _measured(item: Item, options: Options) -> object:
    return await item.measure(options)


if __name__ == "__main__":
    collect_seldom()  # as the command line does
    sys.exit(main(sys.argv[1:]))
