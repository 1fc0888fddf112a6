"""Which column of a row says what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ponder.errors import UsageError
from ponder.evals.rows import Row

JOIN = "+"
"""Joins columns: "context+question" is both, a blank line between them."""

Columns = Mapping[str, tuple[str, ...]]
"""For each thing that an example takes, the columns it may stand in: the first that is filled."""

COLUMNS: Columns = MappingProxyType(
    {
        "id": ("id", "unique_id"),
        "problem": ("problem", "question"),
        "answer": ("answer", "expected_answer", "ground_truth"),
        "level": ("level",),
        "subject": ("subject", "type"),
        "choices": ("choices", "options"),
    }
)
"""What an example takes, and the columns it is found in when nothing else is said."""

_OTHER_KINDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"candidates"}), "is a candidate pool: read it with `ponder import pool`"),
    (frozenset({"gold", "pred"}), "holds answers to grade: give it to `ponder grade`"),
    (frozenset({"steps"}), "holds rated steps, data for verifiers, not problems with answers"),
    (frozenset({"rating"}), "holds rated steps, data for verifiers, not problems with answers"),
)
"""Columns that tell a file of another kind, for a row that is no problem with an answer."""


def mapped(map: Mapping[str, str]) -> Columns:
    """`COLUMNS` with those that `map` names; raises UsageError for a key that no example takes."""
    unknown = [key for key in map if key not in COLUMNS]
    if unknown:
        raise UsageError(f"`map` can name {', '.join(COLUMNS)}, got {unknown[0]!r}")
    return {key: (map[key],) if key in map else names for key, names in COLUMNS.items()}


def filled(row: Row, names: Sequence[str]) -> str | None:
    """The first of these columns, joined or not, that says something in this row."""
    return next((name for name in names if filled_parts(row, name)), None)


def filled_parts(row: Row, name: str) -> list[str]:
    """Those of the columns that `name` joins which say something in this row."""
    return [part for part in parts_of(name) if row.values.get(part) not in (None, "", [])]


def values_of(row: Row, name: str) -> list[object]:
    """What the column says, or each of the joined columns that says something."""
    return [row.values[part] for part in filled_parts(row, name)]


def parts_of(name: str) -> list[str]:
    """The columns that `name` joins; itself if it joins none."""
    return name.split(JOIN)


def text_of(row: Row, name: str) -> str:
    """The column's text, or the joined columns' with a blank line between."""
    return "\n\n".join(_text(row, part) for part in filled_parts(row, name))


def plain(value: object) -> str | None:
    """A JSON scalar as text, a whole float as an integer: 142.0 is "142". None for other values."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def missing(row: Row, key: str, names: Sequence[str]) -> UsageError:
    """What is wrong with a row that has none of the columns of `key`."""
    for signs, kind in _OTHER_KINDS:
        if signs <= row.values.keys():
            return UsageError(f"{row.where}: this file {kind}")
    empty = next((name for name in names if row.values.keys() >= set(parts_of(name))), None)
    if empty is not None:
        value = json.dumps(row.values[parts_of(empty)[0]])
        return UsageError(
            f"{row.where}: `{empty}` is empty, got {value}: fill it, leave the row out, or name "
            f"another column with --map {key}=COLUMN"
        )
    columns = ", ".join(row.values)
    return UsageError(
        f"{row.where}: no {' or '.join(f'`{name}`' for name in names)}: "
        f"name the column with --map {key}=COLUMN (there are {columns or 'none'})"
    )


def _text(row: Row, name: str) -> str:
    text = plain(row.values[name])
    if text is None or not text.strip():
        raise UsageError(
            f"{row.where}: `{name}` must be text or a number, got {row.values[name]!r}"
        )
    return text
