"""A policy as a TOML file: what `ponder fit` writes and the strategy `compute_optimal` reads."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ponder.errors import UsageError
from ponder.search.policy import Choice, Measure, Policy
from ponder.search.selection import Aggregation


class _Row(BaseModel):
    """One choice, with its place in the table."""

    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Field(ge=1)]
    level: Annotated[int, Field(ge=1)]
    strategy: str
    selector: Literal["majority", "best_of_n", "weighted"]
    knobs: dict[str, bool | int | float | str] = {}

    def choice(self) -> Choice:
        return Choice(self.strategy, self.n, self.selector, self.knobs)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    samples: int
    measure: Measure
    aggregation: Aggregation = "last"
    edges: list[FiniteFloat]
    fitted: dict[str, str | float] = {}
    choices: Annotated[list[_Row], Field(min_length=1)]


def load_policy(path: Path) -> Policy:
    """The policy in a file; raises UsageError in one line that names the file and what is wrong."""
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        return _policy(file)
    except OSError as error:
        raise UsageError(
            f"cannot read the policy {path}: {error.strerror}; `ponder fit` writes one"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"policy {path}: `{key}`: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"policy {path} is not TOML: {error}") from None
    except UsageError as error:
        raise UsageError(f"policy {path}: {error}") from None


def _policy(file: _File) -> Policy:
    rows: defaultdict[int, dict[int, Choice]] = defaultdict(dict)
    for row in file.choices:
        if row.level in rows[row.n]:
            raise UsageError(f"two choices for n = {row.n} and level {row.level}")
        rows[row.n][row.level] = row.choice()
    for n, levels in rows.items():
        if sorted(levels) != list(range(1, len(levels) + 1)):
            raise UsageError(f"the choices for n = {n} leave out a level: they have {set(levels)}")
    choices = {n: tuple(levels[level] for level in sorted(levels)) for n, levels in rows.items()}
    edges = tuple(file.edges)
    return Policy(file.samples, file.measure, file.aggregation, edges, choices, file.fitted)


def policy_toml(policy: Policy, about: str) -> str:
    """The file of a policy, under lines of comment that say where it comes from."""
    return "\n".join([*(f"# {line}" for line in about.splitlines()), *_lines(policy)]) + "\n"


def _lines(policy: Policy) -> Iterator[str]:
    yield f"samples = {policy.samples}"
    yield f"measure = {json.dumps(policy.measure)}"
    yield f"aggregation = {json.dumps(policy.aggregation)}"
    yield f"edges = [{', '.join(repr(float(edge)) for edge in policy.edges)}]"
    if policy.fitted:
        yield "\n[fitted]"
    for name, value in sorted(policy.fitted.items()):
        yield f"{name} = {json.dumps(value)}"
    for n, row in sorted(policy.choices.items()):
        for level, choice in enumerate(row, start=1):
            knobs = ", ".join(
                f"{name} = {json.dumps(value)}" for name, value in sorted(choice.knobs.items())
            )
            yield f"\n[[choices]]\nn = {n}\nlevel = {level}"
            yield f"strategy = {json.dumps(choice.strategy)}"
            yield f"selector = {json.dumps(choice.selector)}\nknobs = {{{knobs}}}"
