"""Where an import reads candidates: a file or a data set of the hub, in one of several formats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, cast, get_args

from ponder.answers.choice import ChoiceAnswers
from ponder.answers.registry import DEFAULT
from ponder.errors import UsageError
from ponder.evals.datasets import load
from ponder.evals.exchange.by_id import with_problems
from ponder.evals.exchange.hub import HubSet, is_hub_name, pull
from ponder.evals.exchange.inspect_logs import inspect_pool, inspect_rows
from ponder.evals.exchange.lm_eval import lm_eval_pool, task_of
from ponder.evals.exchange.sal_rows import Approach, pool_row
from ponder.evals.pools import PoolProblem, pool_of
from ponder.evals.rows import Row, read_rows

Format = Literal["pool", "sal", "lm-eval", "inspect"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What candidates do not say of themselves."""

    approach: Approach | None = None
    """Of sal's completions; None: read from the file's name, else independent samples."""
    grades: str | None = None
    """Of several in the file, whose: lm-eval's filter or Inspect's scorer; None: the first."""
    revision: str | None = None
    """Of a data set of the hub: a branch, tag or commit; None: main."""
    config: str | None = None
    """Of a data set of the hub; None: the default or only one."""
    split: str | None = None
    """Of a data set of the hub; None: the only one."""
    dataset: str | None = None
    """Whose problems they are: tells what rows leave out of them."""


class Source(NamedTuple):
    """Candidates that were read, and what they were read from."""

    problems: tuple[PoolProblem, ...]
    study: Mapping[str, object]
    """Names the candidates by content: the same study, the same candidates."""
    provenance: Mapping[str, object]

    @property
    def answer(self) -> str:
        """The kind of their answers, unless another is named."""
        return ChoiceAnswers.name if all(one.choices for one in self.problems) else DEFAULT


class _Rows(NamedTuple):
    """What was read, before its format counts."""

    rows: list[Row]
    name: str
    """A file's without its folder, or the hub's."""
    content: Mapping[str, object]
    """Names the content."""


def read_source(format: Format, where: str | Path, choices: Choices = Choices()) -> Source:
    """The candidates in a file, or in a data set of the hub ("ORG/NAME").

    Raises UsageError in one line that names the file, the line and the mend for what cannot be
    used, for an id that stands in two lines, for one that the data set does not have, and for a
    choice that the format or a file does not take.
    """
    _check_choices(format, where, choices)
    read = _read(format, where, choices)
    pool, told = _READERS[format](read.rows, read.name, choices)
    problems = pool_of(str(where), pool)
    if choices.dataset is not None:
        problems = with_problems(problems, load(choices.dataset), choices.dataset)
        told = {**told, "problems": choices.dataset}
    named = {} if format == "pool" else {"format": format}
    study = {"strategy": "pool", "dataset": read.name, **read.content, **named, **told}
    return Source(problems, study, {"pool": read.name})


_TAKEN: Mapping[str, tuple[Format, ...]] = MappingProxyType(
    {"approach": ("sal",), "grades": ("lm-eval", "inspect")}
)
"""The formats that take a choice; the others' candidates say it themselves, or nothing of it."""


def _check_choices(format: Format, where: str | Path, choices: Choices) -> None:
    for name, formats in _TAKEN.items():
        value = getattr(choices, name)
        if value is not None and format not in formats:
            raise UsageError(
                f"--{name} {value} is for {' and '.join(formats)}, not for {format}: leave it out"
            )
    for name in ("revision", "config", "split"):
        value = getattr(choices, name)
        if value is not None and Path(where).exists():
            raise UsageError(
                f"--{name} {value} is for a data set of the hub, and {where} is a file: "
                "leave it out"
            )


def _read(format: Format, where: str | Path, choices: Choices) -> _Rows:
    path = Path(where)
    if not path.exists() and is_hub_name(str(where)):
        if format == "inspect":
            raise UsageError(f"there is no file {where}: Inspect logs are read from files")
        source = HubSet(str(where), choices.revision, choices.config, choices.split)
        pulled = pull(source)
        return _Rows(pulled.rows, str(where), source.settings() | {"commit": pulled.commit})
    rows = inspect_rows(path) if format == "inspect" else read_rows(path)
    return _Rows(rows, path.name, {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})


Read = tuple[Sequence[Row], Mapping[str, object]]
"""A pool's rows, and the choices that were made in reading them."""


def _pool(rows: Sequence[Row], _: str, __: Choices) -> Read:
    return rows, {}


def _sal(rows: Sequence[Row], name: str, choices: Choices) -> Read:
    approach = choices.approach or approach_of(f"{name} {choices.revision} {choices.config}")
    return [Row(row.where, pool_row(row, approach)) for row in rows], {"approach": approach}


def _lm_eval(rows: Sequence[Row], name: str, choices: Choices) -> Read:
    task = task_of(name)
    pool, chosen = lm_eval_pool(rows, task, choices.grades)
    return pool, {"grades": chosen, **({} if task is None else {"task": task})}


def _inspect(rows: Sequence[Row], _: str, choices: Choices) -> Read:
    pool, chosen = inspect_pool(rows, choices.grades)
    return pool, {} if chosen is None else {"grades": chosen}


_READERS: Mapping[Format, Callable[[Sequence[Row], str, Choices], Read]] = MappingProxyType(
    {"pool": _pool, "sal": _sal, "lm-eval": _lm_eval, "inspect": _inspect}
)


def approach_of(name: str) -> Approach:
    """What the name of a file or data set says of how its completions came about.

    As sal names them: `best_of_n_completions.jsonl`, `Llama-3.2-1B-Instruct-beam-search-...`.
    """
    words = name.lower().replace("-", "_")
    named = [approach for approach in get_args(Approach) if approach in words]
    return cast("Approach", named[0]) if len(named) == 1 else "best_of_n"
