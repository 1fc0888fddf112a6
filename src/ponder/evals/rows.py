"""Rows of JSON, as files, packages and the hub hold them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ponder.errors import MissingExtraError, UsageError
from ponder.evals.exchange.remainder import unpacked

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")

Model = TypeVar("Model", bound=BaseModel)


class Row(NamedTuple):
    """One row and where it stands, for messages."""

    where: str
    """As in "problems.jsonl, line 3"."""
    values: Mapping[str, object]


def read_rows(path: Path) -> list[Row]:
    """All rows of a file; its suffix is one of `SUFFIXES`.

    Raises UsageError in one line that names the file, and the line where there is one: for a file
    that is missing, empty, unreadable or no such format, or for a row that is no JSON object.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    name = path.name.lower()
    if name.endswith(".parquet"):
        rows = _table_rows(path)
    elif name.endswith(".csv"):
        rows = _csv_rows(path)
    elif name.endswith(".json"):
        rows = _array_rows(path)
    elif name.endswith((".jsonl", ".jsonl.gz")):
        rows = _line_rows(path)
    else:
        raise UsageError(f"{path} is none of {', '.join(SUFFIXES)}")
    if not rows:
        raise UsageError(f"{path} is empty: it needs at least one row")
    return rows


def optional(module: str, extra: str) -> ModuleType:
    """A module of an optional package; raises MissingExtraError naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(module.partition(".")[0], extra) from error


def first_line(error: BaseException) -> str:
    """The first line of what an exception says."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def as_rows(source: str, values: Iterable[object]) -> list[Row]:
    """Numbered rows of a table that is read already."""
    return [_row(f"{source}, row {number}", row) for number, row in enumerate(values, start=1)]


def parse_lines(source: str, text: str) -> list[Row]:
    """The rows of JSON lines; blank lines are passed over."""
    lines = text.split("\n")
    numbered = ((f"{source}, line {number}", line) for number, line in enumerate(lines, start=1))
    return [_row(where, _parse(where, line)) for where, line in numbered if line.strip()]


def checked(row: Row, kind: type[Model]) -> Model:
    """The row as a model; raises UsageError in one line that names the row, the key, the value."""
    try:
        return kind.model_validate(row.values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        named = f"`{key[1:]}`: " if key else ""
        reason = first["msg"].removeprefix("Value error, ")
        got = "" if first["type"] == "missing" or not key else f", got {_short(first['input'])}"
        raise UsageError(f"{row.where}: {named}{reason}{got}") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _line_rows(path: Path) -> list[Row]:
    return parse_lines(str(path), _text(path))


def _array_rows(path: Path) -> list[Row]:
    values = _parse(str(path), _text(path) or "[]")
    if not isinstance(values, list):
        raise UsageError(f"{path} must hold a JSON array of objects")
    return as_rows(str(path), values)


def _csv_rows(path: Path) -> list[Row]:
    """The first line names the columns; a row with more of them than that is refused."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    rows = []
    try:
        for number, values in enumerate(reader, start=1):
            if None in values:
                raise UsageError(f"{path}, row {number}: it has more values than there are columns")
            rows.append(Row(f"{path}, row {number}", values))
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    return rows


def _table_rows(path: Path) -> list[Row]:
    pyarrow = optional("pyarrow", "data")
    parquet = optional("pyarrow.parquet", "data")
    try:
        values = parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}") from error
    return as_rows(str(path), unpacked(str(path), values))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}") from error


def _parse(where: str, text: str) -> object:
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {first_line(error)}") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value, write null")


def _row(where: str, value: object) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: a row must be a JSON object, got {type(value).__name__}")
    return Row(where, value)
