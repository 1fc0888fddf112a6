"""Rows into files: JSON lines, a JSON array, or a Parquet table."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder.errors import UsageError
from ponder.evals.exchange.remainder import TABLE_COLUMN, Json, cell, remainder
from ponder.evals.rows import optional
from ponder.store.files import replace_file

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet")
"""The formats that any rows can be written in."""


def check_writable(path: Path) -> None:
    """Raise UsageError for a file name whose suffix names no format."""
    if not path.name.lower().endswith(SUFFIXES):
        raise UsageError(f"cannot write {path}: its name must end in {', '.join(SUFFIXES)}")


def write_rows(path: Path, rows: Sequence[Json]) -> None:
    """Write a file that `read_rows` reads back as the same rows; its suffix is the format.

    The file is replaced in one move, once all is written. Raises UsageError for an unknown suffix.
    """
    check_writable(path)
    replace_file(path, _content(path.name.lower(), rows))


def _content(name: str, rows: Sequence[Json]) -> bytes:
    if name.endswith(".parquet"):
        return table_bytes(rows)
    if name.endswith(".json"):
        return json.dumps(rows).encode()
    lines = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return gzip.compress(lines, mtime=0) if name.endswith(".gz") else lines


def table_bytes(rows: Sequence[Json]) -> bytes:
    """The rows as a Parquet file.

    Each key is a column of the type that its values have in common. What such a column cannot give
    back exactly (a key of mixed types, a null where others have no key, an integer among floats)
    stands in the column `ponder_json` too, from which `read_rows` restores it.
    """
    pyarrow = optional("pyarrow", "data")
    names = dict.fromkeys(key for row in rows for key in row if key != TABLE_COLUMN)
    columns: dict[str, Any] = {}
    rebuilt: list[Json] = [{} for _ in rows]
    for name in names:
        column = _column([row.get(name) for row in rows])
        if column is None:
            continue
        columns[name] = column
        for row, value in zip(rebuilt, column.to_pylist(), strict=True):
            if value is not None:
                row[name] = cell(value)
    kept = [remainder(row, back) for row, back in zip(rows, rebuilt, strict=True)]
    texts = [json.dumps(one) if one else None for one in kept]
    columns[TABLE_COLUMN] = pyarrow.array(texts, pyarrow.string())
    return _written(pyarrow.table(columns))


def _column(values: list[object]) -> Any:
    """The values as they come back from a column of their common type; None: they have none."""
    pyarrow = optional("pyarrow", "data")
    parquet = optional("pyarrow.parquet", "data")
    try:
        table = pyarrow.table({"column": pyarrow.array(values)})
        return parquet.read_table(io.BytesIO(_written(table))).column(0)
    # Lone surrogates and numbers beyond 64 bits are errors of Python's own kinds.
    except (pyarrow.ArrowException, ValueError, OverflowError, TypeError):
        return None


def _written(table: Any) -> bytes:
    parquet = optional("pyarrow.parquet", "data")
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()
