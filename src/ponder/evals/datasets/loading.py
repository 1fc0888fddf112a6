"""A data set by name or file, its problems picked."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from ponder.answers.registry import DEFAULT
from ponder.errors import UsageError
from ponder.evals.datasets.columns import Columns, filled, mapped
from ponder.evals.datasets.examples import example_of
from ponder.evals.datasets.gym import PREFIX, gym_examples
from ponder.evals.datasets.hub import hub_rows
from ponder.evals.datasets.named import hub_set, named_sets
from ponder.evals.rows import SUFFIXES, Row, parse_lines, read_rows
from ponder.types import Example

_NAMED: Final = 5
"""Rows that a message names at most."""


class DataSet(NamedTuple):
    """Problems with their references, and what an answer to them is."""

    examples: tuple[Example, ...]
    answer: str
    """The answer kind: the published set's own, `choice` where every problem has choices, else
    mathematics."""


def load_set(
    dataset: str | Path,
    *,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    map: Mapping[str, str] | None = None,
) -> DataSet:
    """The examples of a data set, in its own order, and their answer kind.

    `dataset` is a file (.jsonl, .jsonl.gz, .json, .csv, .parquet), the name of a built-in or of a
    published set, a hub name as "openai/gsm8k:main:train", or "reasoning-gym:TASK:size=50,seed=1".
    `map` names the column for any key of `COLUMNS`, or several joined by "+"; other columns are
    kept in `Example.extra`. `ids` picks examples, `limit` then takes the first so many. A row
    without an id gets the hash of its problem. Raises UsageError in one line for what cannot be
    used.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"`limit` must be at least 1, got {limit}")
    examples, answer = _read(dataset, map or {})
    picked = examples if ids is None else _pick(str(dataset), examples, ids)
    return DataSet(tuple(picked[:limit]), answer or _kind_of(examples))


def load(
    dataset: str | Path,
    *,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    map: Mapping[str, str] | None = None,
) -> tuple[Example, ...]:
    """The examples of `load_set` alone."""
    return load_set(dataset, limit=limit, ids=ids, map=map).examples


def builtin_names() -> tuple[str, ...]:
    """The data sets that come with the package, sorted."""
    return tuple(sorted(_builtin()))


def _read(dataset: str | Path, map: Mapping[str, str]) -> tuple[list[Example], str | None]:
    """All examples, and the answer kind if the source tells it."""
    if isinstance(dataset, str) and dataset.startswith(PREFIX):
        if map:
            raise UsageError(f"{dataset} has no columns: leave `map` out")
        return gym_examples(dataset), "reasoning-gym"
    rows = _local_rows(dataset)
    if rows is not None:
        columns = mapped(map)
        return _examples(str(dataset), rows, columns), None
    source = hub_set(str(dataset))
    if source is None:
        raise _unknown(str(dataset))
    columns = mapped({**source.columns, **map})
    rows = hub_rows(source)
    return _examples(str(dataset), rows, columns, shuffled=source.shuffled), source.answer


def _examples(
    dataset: str, rows: Sequence[Row], columns: Columns, *, shuffled: bool = False
) -> list[Example]:
    """The rows as examples; raises UsageError for rows of one id, or of one question without."""
    examples = [example_of(row, columns, shuffled=shuffled) for row in rows]
    held: dict[str, list[Row]] = {}
    for row, example in zip(rows, examples, strict=True):
        held.setdefault(example.problem.id, []).append(row)
    for name, same in held.items():
        if len(same) > 1:
            raise UsageError(f"{dataset}: {_twice(name, same, columns)}")
    return examples


def _twice(name: str, rows: Sequence[Row], columns: Columns) -> str:
    """What stands in several rows, where, and the mend."""
    told = [row.where.rpartition(", ")[2] for row in rows[:_NAMED]]
    places = ", ".join([*told, *(["..."] if len(rows) > _NAMED else [])])
    if filled(rows[0], columns["id"]) is None:
        return (
            f"the same question stands in {len(rows)} rows ({places}): keep one of them, or give "
            "the rows an `id` each"
        )
    return f"the id {name!r} stands in {len(rows)} rows ({places}): ids must be unique"


def _local_rows(dataset: str | Path) -> list[Row] | None:
    """The rows of a file or a built-in set; None for a name of neither."""
    path = Path(dataset)
    if isinstance(dataset, Path) or path.is_file() or path.name.lower().endswith(SUFFIXES):
        return read_rows(path)
    found = _builtin().get(dataset)
    return None if found is None else parse_lines(dataset, found.read_text("utf-8"))


def _unknown(dataset: str) -> UsageError:
    known = ", ".join([*builtin_names(), *named_sets()])
    return UsageError(
        f"there is no data set {dataset!r}: give a file ({', '.join(SUFFIXES)}), "
        f"a hub name such as openai/gsm8k, {PREFIX}TASK, or a name: {known}"
    )


def _builtin() -> dict[str, Traversable]:
    folder = importlib.resources.files("ponder") / "data"
    files = (file for file in folder.iterdir() if file.name.endswith(".jsonl"))
    return {file.name.removesuffix(".jsonl"): file for file in files}


def _kind_of(examples: Sequence[Example]) -> str:
    return "choice" if all(example.problem.choices for example in examples) else DEFAULT


def _pick(dataset: str, examples: Sequence[Example], ids: Sequence[str]) -> list[Example]:
    missing = sorted(set(ids) - {example.problem.id for example in examples})
    if missing:
        raise UsageError(f"{dataset} has no problem with the id {missing[0]!r}")
    wanted = set(ids)
    return [example for example in examples if example.problem.id in wanted]
