"""Data sets: from a file, from the package, or from the hub by name, to examples."""

from __future__ import annotations

import importlib.resources
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from ponder.errors import UsageError
from ponder.evals.rows import SUFFIXES, Row, as_rows, first_line, optional, parse_lines, read_rows
from ponder.types import Example, Problem

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id", "unique_id"),
        "problem": ("problem", "question"),
        "answer": ("answer", "expected_answer", "ground_truth"),
        "level": ("level",),
        "subject": ("subject", "type"),
    }
)
"""What an example takes, and the columns it is found in when `map` names none: first match."""

_OTHER_KINDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"candidates"}), "is a candidate pool: read it with `ponder import pool`"),
    (frozenset({"gold", "pred"}), "holds answers to grade: give it to `ponder grade`"),
    (frozenset({"steps"}), "holds rated steps, data for verifiers, not problems with answers"),
    (frozenset({"rating"}), "holds rated steps, data for verifiers, not problems with answers"),
)
"""Columns that tell a file of another kind, for a row that is no problem with an answer."""

_HUB: Mapping[str, tuple[str | None, str]] = MappingProxyType(
    {"HuggingFaceH4/MATH-500": (None, "test"), "openai/gsm8k": ("main", "test")}
)
"""Configuration and split of known hub data sets; others are read as (None, "test")."""

_FINAL = re.compile(r"\n(?:####|A:)[ \t]*(\S[^\n]*)\s*$")
"""The line that ends the worked solutions which GSM8K gives as answers."""

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def load(
    dataset: str | Path,
    *,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    map: Mapping[str, str] | None = None,
) -> tuple[Example, ...]:
    """The examples of a data set, in its own order.

    `dataset` is a file (.jsonl, .jsonl.gz, .json, .parquet), the name of a built-in set, or a hub
    name as "openai/gsm8k". `map` names the column for any key of `COLUMNS`; other columns are kept
    in `Example.extra`. `ids` picks examples, `limit` then takes the first so many. A row without an
    id gets the hash of its problem. Raises UsageError in one line for what cannot be used.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"`limit` must be at least 1, got {limit}")
    columns = _columns(map or {})
    examples = [_example(row, columns) for row in _rows(dataset)]
    _refuse_duplicates(str(dataset), examples)
    picked = examples if ids is None else _pick(str(dataset), examples, ids)
    return tuple(picked[:limit])


def builtin_names() -> tuple[str, ...]:
    """The data sets that come with the package, sorted."""
    return tuple(sorted(_builtin()))


def plain(value: object) -> str | None:
    """A JSON scalar as text, a whole float as an integer: 142.0 is "142". None for other values."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _rows(dataset: str | Path) -> list[Row]:
    path = Path(dataset)
    if isinstance(dataset, Path) or path.is_file() or path.name.lower().endswith(SUFFIXES):
        return read_rows(path)
    builtin = _builtin()
    if dataset in builtin:
        return parse_lines(dataset, builtin[dataset].read_text("utf-8"))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        return _hub_rows(dataset)
    known = "".join(f", {name}" for name in sorted(builtin))
    raise UsageError(
        f"there is no data set {dataset!r}: give a file ({', '.join(SUFFIXES)}), "
        f"a hub name such as openai/gsm8k, or a built-in name{known and ': ' + known[2:]}"
    )


def _builtin() -> dict[str, Traversable]:
    folder = importlib.resources.files("ponder") / "data"
    if not folder.is_dir():
        return {}
    files = (file for file in folder.iterdir() if file.name.endswith(".jsonl"))
    return {file.name.removesuffix(".jsonl"): file for file in files}


def _hub_rows(name: str) -> list[Row]:
    hub = optional("datasets", "data")
    configuration, split = _HUB.get(name, (None, "test"))
    try:
        return as_rows(name, hub.load_dataset(name, configuration, split=split))
    except (OSError, ValueError) as error:
        raise UsageError(f"{name} cannot be read from the hub: {first_line(error)}") from error


def _columns(map: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    unknown = [key for key in map if key not in COLUMNS]
    if unknown:
        raise UsageError(f"`map` can name {', '.join(COLUMNS)}, got {unknown[0]!r}")
    return {key: (map[key],) if key in map else names for key, names in COLUMNS.items()}


def _example(row: Row, columns: Mapping[str, tuple[str, ...]]) -> Example:
    found = {key: _column(row, names) for key, names in columns.items()}
    for key in ("problem", "answer"):
        if found[key] is None:
            raise UsageError(f"{row.where}: {_missing(row, key, columns[key])}")
    texts = {key: _text(row, name) for key, name in found.items() if name is not None}
    used = {*found.values(), *COLUMNS, "candidates", "exchangeable"}
    return Example(
        problem=Problem.ask(texts["problem"], texts.get("id", "")),
        reference=_final(texts["answer"]),
        level=texts.get("level"),
        subject=texts.get("subject"),
        extra={name: value for name, value in row.values.items() if name not in used},
    )


def _column(row: Row, names: Sequence[str]) -> str | None:
    """The first of these columns that says something in this row."""
    return next((name for name in names if row.values.get(name) not in (None, "")), None)


def _missing(row: Row, key: str, names: Sequence[str]) -> str:
    for signs, kind in _OTHER_KINDS:
        if signs <= row.values.keys():
            return f"this file {kind}"
    columns = ", ".join(row.values)
    return (
        f"no {' or '.join(f'`{name}`' for name in names)}: "
        f"name the column with --map {key}=COLUMN (there are {columns or 'none'})"
    )


def _text(row: Row, name: str) -> str:
    text = plain(row.values[name])
    if text is None or not text.strip():
        raise UsageError(
            f"{row.where}: `{name}` must be text or a number, got {row.values[name]!r}"
        )
    return text


def _final(answer: str) -> str:
    """The answer alone, where a worked solution ends in it, without thousands separators."""
    marked = _FINAL.search(answer)
    return _THOUSANDS.sub("", marked[1].strip()) if marked else answer


def _refuse_duplicates(dataset: str, examples: Sequence[Example]) -> None:
    counts = Counter(example.problem.id for example in examples)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise UsageError(f"{dataset}: the id {name!r} stands in {count} rows: ids must be unique")


def _pick(dataset: str, examples: Sequence[Example], ids: Sequence[str]) -> list[Example]:
    missing = sorted(set(ids) - {example.problem.id for example in examples})
    if missing:
        raise UsageError(f"{dataset} has no problem with the id {missing[0]!r}")
    wanted = set(ids)
    return [example for example in examples if example.problem.id in wanted]
