"""Where an import reads candidates: a file or a data set of the hub, in one of several formats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, cast, get_args

from ponder.evals.exchange.remainder import Json
from ponder.evals.exchange.sal_rows import Approach, pool_row
from ponder.evals.pools import PoolProblem, check_unique
from ponder.evals.rows import Row, checked, read_rows

Format = Literal["pool", "sal"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a file does not say of itself."""

    approach: Approach | None = None
    """Of sal's completions; None: read from the file's name, else independent samples."""


class Source(NamedTuple):
    """Candidates that were read, and what they were read from."""

    problems: tuple[PoolProblem, ...]
    study: Mapping[str, object]
    """Names the candidates by content: the same study, the same candidates."""
    provenance: Mapping[str, object]


def read_source(format: Format, file: Path, choices: Choices = Choices()) -> Source:
    """The candidates in a file.

    Raises UsageError in one line that names the file, the line and the mend for what is no such
    file, and for an id that stands in two lines.
    """
    rows = read_rows(file)
    problems, told = _READERS[format](rows, str(file), choices)
    check_unique(str(file), problems)
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    study: dict[str, object] = {"strategy": "pool", "dataset": file.name, "sha256": content}
    told_format = {} if format == "pool" else {"format": format}
    return Source(problems, {**study, **told_format, **told}, {"pool": file.name})


Read = tuple[tuple[PoolProblem, ...], dict[str, object]]
"""The problems, and the choices that were made in reading them."""


def _pool(rows: Sequence[Row], _: str, __: Choices) -> Read:
    return tuple(checked(row, PoolProblem) for row in rows), {}


def _sal(rows: Sequence[Row], name: str, choices: Choices) -> Read:
    approach = choices.approach or approach_of(name)
    return _validated(rows, (pool_row(row, approach) for row in rows)), {"approach": approach}


def approach_of(name: str) -> Approach:
    """What the name of a file or data set says of how its completions came about.

    As sal names them: `best_of_n_completions.jsonl`, `Llama-3.2-1B-Instruct-beam-search-...`.
    """
    words = name.lower().replace("-", "_")
    named = [approach for approach in get_args(Approach) if approach in words]
    return cast("Approach", named[0]) if len(named) == 1 else "best_of_n"


def _validated(rows: Iterable[Row], problems: Iterable[Json]) -> tuple[PoolProblem, ...]:
    return tuple(
        checked(Row(row.where, problem), PoolProblem)
        for row, problem in zip(rows, problems, strict=True)
    )


_READERS: Mapping[Format, Callable[[Sequence[Row], str, Choices], Read]] = MappingProxyType(
    {"pool": _pool, "sal": _sal}
)
