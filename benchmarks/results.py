"""docs/benchmarks.json: every part with its raw repeats, and where and how it was taken."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.machine import Machine
from ponder.errors import UsageError


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement as it was taken."""

    command: str
    """Gives it again."""
    date: str
    size: str
    repeats: int
    machine: Machine
    results: Any
    """JSON of the item's results."""


@dataclass(frozen=True, slots=True)
class Record:
    """The whole file."""

    schema: int = 1
    parts: dict[str, Part] = field(default_factory=dict)
    """By name, sorted."""

    @classmethod
    def load(cls, path: Path) -> Record:
        """The file's content, empty where there is none; raises UsageError for another file."""
        if not path.exists():
            return cls()
        try:
            return _FORMAT.validate_json(path.read_bytes())
        except ValidationError as error:
            raise UsageError(
                f"{path} holds no benchmarks: move it away, or name another"
            ) from error

    def with_part(self, name: str, part: Part) -> Record:
        """The same with one part added or replaced."""
        parts = {**self.parts, name: part}
        return Record(self.schema, {key: parts[key] for key in sorted(parts)})

    def save(self, path: Path) -> None:
        """Replace the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_FORMAT.dump_python(self, mode="json"), indent=1) + "\n")


def joined(before: object, after: object) -> object:
    """The repeats of both; raises UsageError where they were not taken of the same."""
    assert is_dataclass(before)
    assert not isinstance(before, type)
    changes: dict[str, object] = {}
    for name in [part.name for part in fields(before)]:
        one, other = getattr(before, name), getattr(after, name)
        if isinstance(one, tuple):
            changes[name] = one + other
        elif one != other:
            raise UsageError(f"`{name}` was {one!r} before, now {other!r}: leave out --more")
    return replace(before, **changes)


_FORMAT = TypeAdapter(Record)
