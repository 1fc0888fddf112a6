"""The command line: what a person may choose, and the words that give a part again."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import fields
from typing import NoReturn

from benchmarks.items import ITEMS, Item
from benchmarks.options import Options
from ponder.errors import UsageError

DEFAULTS = Options()
NAMES = [field.name for field in fields(Options)]
_EXAMPLE = "example: python -m benchmarks efficiency --verifier arithmetic --repeats 3"
_OWN = {
    **{key: f"--{key}" for key in ("engine", "model", "verifier")},
    "host.slots": "--slots",
    "limit": "--problems",
    **dict.fromkeys(("dataset", "strategy", "n", "seed", "knobs.beam_width"), None),
}
"""Keys of a recipe that a measurement sets itself, with the option that sets them; None: fixed."""


def parser() -> argparse.ArgumentParser:
    """Of `python -m benchmarks`."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures, keeps the raw repeats in a JSON file, and writes the page beside "
        "it. Only the parts that are measured change.",
        epilog=_EXAMPLE,
    )
    made.add_argument(
        "items", nargs="*", type=_item, metavar="ITEM", help=f"any of {', '.join(ITEMS)}"
    )
    made.add_argument("--size", choices=("small", "full"), default="full")
    made.add_argument("--repeats", type=_at_least_one, default=DEFAULTS.repeats)
    made.add_argument("--more", action="store_true", help="add repeats to those that are kept")
    made.add_argument("--page", action="store_true", help="measure nothing, write the page")
    made.add_argument("--problems", type=_at_least_one, default=None, help="of an engine's run")
    made.add_argument("--engine", default=DEFAULTS.engine, help="an engine of a recipe")
    made.add_argument("--model", default=None, help="a file, a folder or a name")
    made.add_argument("--verifier", default=None, help="by default each that the item asks for")
    made.add_argument("--slots", type=_at_least_one, default=DEFAULTS.slots)
    made.add_argument(
        "--set",
        action="append",
        type=_key,
        default=[],
        metavar="KEY=VALUE",
        help="any other key of the recipe",
    )
    made.add_argument("--pool", metavar="RUN", help="early stopping: a graded run's samples")
    made.add_argument("--score", metavar="NAME", help="of the pool; by default its own")
    made.add_argument("--label", default=None, help="keeps the results beside those without it")
    made.add_argument("-o", "--output", default="docs/benchmarks.json", metavar="FILE")
    return made


def options_of(chosen: argparse.Namespace) -> Options:
    """What the words say of a measurement."""
    told = {name: value for name, value in vars(chosen).items() if name in NAMES}
    told["verifier"] = chosen.verifier or DEFAULTS.verifier
    told["set"] = tuple(chosen.set)
    return Options(**told)


def options_in(command: str) -> Options:
    """Those of a part that is kept, by the command that gives it again.

    Raises UsageError for words that are no such command.
    """
    reader = parser()
    reader.error = _unreadable  # type: ignore[method-assign]
    return options_of(reader.parse_args(shlex.split(command)[3:]))


def command_of(item: Item, options: Options) -> str:
    """Gives the part again."""
    words = ["python", "-m", "benchmarks", item.name]
    for name in NAMES:
        value = getattr(options, name)
        told = bool(item.verifiers) if name == "verifier" else value != getattr(DEFAULTS, name)
        if name == "repeats" and item.once:
            told = False
        for each in value if isinstance(value, tuple) else [value] if told else []:
            words += [f"--{name}", str(each)]
    return shlex.join(words)


def _unreadable(message: str) -> NoReturn:
    raise UsageError(f"a part's command cannot be read: {message}")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def _item(text: str) -> str:
    if text not in ITEMS:
        raise argparse.ArgumentTypeError(f"must be any of {', '.join(ITEMS)}, got {text!r}")
    return text


def _key(text: str) -> str:
    """A word of `--set` that changes no more than the recipe."""
    key = text.partition("=")[0].removeprefix("study.")
    if key in _OWN:
        mend = f"use {_OWN[key]}" if _OWN[key] else "it is fixed"
        raise argparse.ArgumentTypeError(f"`{key}` is the measurement's own: {mend}")
    return text
