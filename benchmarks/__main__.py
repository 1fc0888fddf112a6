"""Takes measurements: `python -m benchmarks ITEM ...`."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.items import ITEMS, Item
from benchmarks.machine import this_machine
from benchmarks.options import Options
from benchmarks.page import page
from benchmarks.results import Part, Record, joined
from ponder.cli.collector import collect_seldom
from ponder.errors import PonderError

_DEFAULTS = Options()
_NAMES = [field.name for field in fields(Options)]
_EXAMPLE = "example: python -m benchmarks efficiency --verifier arithmetic --repeats 3"


def main(arguments: Sequence[str]) -> int:
    """Measure, part by part; each is written down before the next one begins."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    told = {name: value for name, value in vars(chosen).items() if name in _NAMES}
    told["verifier"] = chosen.verifier or _DEFAULTS.verifier
    told["set"] = tuple(chosen.set)
    options = Options(**told)
    chosen.items = chosen.items or list(ITEMS)
    if options.pool is not None and (odd := [n for n in chosen.items if not ITEMS[n].reads_pool]):
        parser.error(f"argument --pool: not of {', '.join(odd)}")
    if options.score is not None and options.pool is None:
        parser.error("argument --score: names scores of a pool, give --pool too")
    output = Path(chosen.output)
    try:
        Record.load(output)  # an unusable file is found before anything is measured
        for item in [] if chosen.page else [ITEMS[name] for name in chosen.items]:
            for verifier in _verifiers(item, chosen.verifier):
                _take(item, replace(options, verifier=verifier), output, more=chosen.more)
        output.with_suffix(".md").write_text(page(Record.load(output)))
    except PonderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures, keeps the raw repeats in a JSON file, and writes the page beside "
        "it. Only the parts that are measured change.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "items", nargs="*", type=_item, metavar="ITEM", help=f"any of {', '.join(ITEMS)}"
    )
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--repeats", type=_at_least_one, default=_DEFAULTS.repeats)
    parser.add_argument("--more", action="store_true", help="add repeats to those that are kept")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--problems", type=_at_least_one, default=None, help="of an engine's run")
    parser.add_argument("--engine", default=_DEFAULTS.engine, help="an engine of a recipe")
    parser.add_argument("--model", default=None, help="a file, a folder or a name")
    parser.add_argument("--verifier", default=None, help="by default each that the item asks for")
    parser.add_argument("--slots", type=_at_least_one, default=_DEFAULTS.slots)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the recipe"
    )
    parser.add_argument("--pool", metavar="RUN", help="early stopping: a graded run's samples")
    parser.add_argument("--score", metavar="NAME", help="of the pool; by default its own")
    parser.add_argument("--label", default=None, help="keeps the results beside those without it")
    parser.add_argument("-o", "--output", default="docs/benchmarks.json", metavar="FILE")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def _item(text: str) -> str:
    if text not in ITEMS:
        raise argparse.ArgumentTypeError(f"must be any of {', '.join(ITEMS)}, got {text!r}")
    return text


def _verifiers(item: Item, named: str | None) -> Sequence[str]:
    """With which verifiers the item is taken; once where it needs none."""
    if not item.verifiers:
        return [_DEFAULTS.verifier]
    return item.verifiers if named is None else [named]


def _take(item: Item, options: Options, output: Path, *, more: bool) -> None:
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
    command = _command(item, replace(options, first=0, repeats=options.turns.stop))
    taken = Part(command, today, options.size, options.turns.stop, this_machine(), content)
    Record.load(output).with_part(part, taken).save(output)


async def _measured(item: Item, options: Options) -> object:
    return await item.measure(options)


def _command(item: Item, options: Options) -> str:
    """Gives the part again."""
    words = ["python", "-m", "benchmarks", item.name]
    for name in _NAMES:
        value = getattr(options, name)
        told = bool(item.verifiers) if name == "verifier" else value != getattr(_DEFAULTS, name)
        for each in value if isinstance(value, tuple) else [value] if told else []:
            words += [f"--{name}", str(each)]
    return shlex.join(words)


if __name__ == "__main__":
    collect_seldom()  # as the command line does
    sys.exit(main(sys.argv[1:]))
