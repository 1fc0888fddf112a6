"""What a format has no place for, kept beside it: so nothing is lost on the way there and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ponder.errors import UsageError

Json = dict[str, Any]
"""A JSON object."""

TABLE_COLUMN = "ponder_json"
"""The column of a table that ponder wrote: each row's remainder as JSON text, or null."""


def same(one: object, other: object) -> bool:
    """Equal JSON values of equal types: 1, 1.0 and true differ, and so do 0.0 and -0.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def remainder(given: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> Json:
    """What has to be kept to get `given` from `rebuilt` by `restored`; empty if they are the same.

    Keys are compared whole: `given` holds those that differ or are missing, `absent` names those
    that are there too much.
    """
    differing = {
        key: value
        for key, value in given.items()
        if key not in rebuilt or not same(value, rebuilt[key])
    }
    absent = [key for key in rebuilt if key not in given]
    parts: Json = {"given": differing, "absent": absent}
    return {name: part for name, part in parts.items() if part}


def restored(rebuilt: Mapping[str, Any], kept: Mapping[str, Any]) -> Json:
    """The object that `kept` is the remainder of."""
    absent = kept.get("absent", ())
    present = {key: value for key, value in rebuilt.items() if key not in absent}
    return {**present, **kept.get("given", {})}


def read_remainder(text: object, where: str, column: str) -> Json:
    """A remainder from its JSON text; raises UsageError naming row and column if it is none."""
    try:
        kept = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise UsageError(
            f"{where}: `{column}` is not what ponder wrote there: leave the column out"
        )
    return kept


def cell(value: object) -> object:
    """A table's value without the nulls that fill the places of missing keys."""
    if isinstance(value, dict):
        return {key: cell(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [cell(part) for part in value]
    return value


def unpacked(source: str, values: Iterable[Json]) -> list[Json]:
    """The rows of a table: as they were given where ponder wrote it, else as they are.

    Raises UsageError naming the row whose remainder cannot be read.
    """
    return [
        _unpacked(f"{source}, row {number}", row) if TABLE_COLUMN in row else row
        for number, row in enumerate(values, start=1)
    ]


def _unpacked(where: str, row: Json) -> Json:
    text = row[TABLE_COLUMN]
    rebuilt = {
        key: cell(value) for key, value in row.items() if key != TABLE_COLUMN and value is not None
    }
    return restored(rebuilt, read_remainder(text, where, TABLE_COLUMN)) if text else rebuilt
