"""A recipe: `[study]` decides results, `[host]` says where and how fast."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ponder.budget import Budget
from ponder.engines.openings import KEPT
from ponder.errors import UsageError
from ponder.recipes.costing import ModelSize, Prices
from ponder.recipes.vllm import VllmHost, VllmStudy
from ponder.search.selection import Aggregation
from ponder.types import Sampling


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with ponder."""
    names = (entry.name for entry in files("ponder.recipes").iterdir())
    return tuple(sorted(n.removesuffix(".toml") for n in names if n.endswith(".toml")))


Knob = bool | int | float | str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplingSettings(_Table):
    """How samples are drawn; the fields of `Sampling`, each with a default for reasoning."""

    temperature: Annotated[float, Field(ge=0)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    max_tokens: Annotated[int, Field(ge=1)] = 2048
    max_step_tokens: Annotated[int, Field(ge=1)] | None = None
    separator: Annotated[str, Field(min_length=1)] = "\n\n"
    """Ends a step; also splits whole solutions for verifiers that score steps."""
    stop: tuple[str, ...] = ()
    """Strings that end a solution."""

    def sampling(self) -> Sampling:
        """As strategies take it."""
        return Sampling(**self.model_dump())


class Study(_Table):
    """What decides results."""

    dataset: str = ""
    """A file, or the name of a data set."""
    engine: Literal["embedded", "openai", "scripted", "vllm"] = "embedded"
    model: str | None = None
    """A file, a folder, or a name that the engine knows; None is the engine's own default."""
    strategy: str = "sample"
    n: Annotated[int, Field(ge=1)] = 4
    verifier: str | None = None
    """A registered name, or `module:function`."""
    seed: int = 0
    limit: Annotated[int, Field(ge=1)] | None = None
    """The first so many problems."""
    ids: tuple[str, ...] = ()
    """Only these problems."""
    map: dict[str, str] = {}
    """Our field names to the data set's: `{problem = "question"}`."""
    prompt: str = "plain"
    """A prompt that ships, or a file."""
    answer: str | None = None
    """What an answer is: math, choice, text, exact, reasoning-gym, or `module:function`, which
    says of an answer and its example whether it is right. None: what the data set says."""
    selector: str | None = None
    """None: the strategy's own."""
    aggregation: Aggregation | None = None
    """None: the strategy's own."""
    sampling: SamplingSettings = SamplingSettings()
    budget: dict[str, float] = {}
    """By kind: generations, generated_tokens, total_tokens, seconds."""
    equal_tokens: str | None = None
    """A run: each problem's budget is the generated tokens that it spent there, unless `budget`
    grants fewer."""
    knobs: dict[str, Knob] = {}
    """The strategy's other knobs, by their names."""
    verifier_knobs: dict[str, Knob | dict[str, Knob]] = {}
    """The verifier's knobs, by their names; for `mix`, by verifier name its weight, or a table of
    `weight` and that verifier's knobs."""

    size: Annotated[ModelSize, Field(exclude_if=ModelSize().__eq__)] = ModelSize()
    """Of the model, for its floating-point operations, where its weights do not tell."""
    verifier_size: Annotated[ModelSize, Field(exclude_if=ModelSize().__eq__)] = ModelSize()
    """Of the verifier's model."""
    vllm: Annotated[VllmStudy, Field(exclude_if=VllmStudy().__eq__)] = VllmStudy()
    """Of the engine `vllm`; not written down where nothing is set."""

    @field_validator("budget")
    @classmethod
    def _known_budgets(cls, value: dict[str, float]) -> dict[str, float]:
        try:
            Budget.parse(_limits(value))
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    def budgets(self) -> Budget:
        """The budget of every problem."""
        return Budget.parse(_limits(self.budget))


def _limits(budget: Mapping[str, float]) -> Iterator[str]:
    """As words, every digit told: TOML and the command line give whole numbers as floats too."""
    for kind, number in budget.items():
        yield f"{kind}={int(number) if number.is_integer() else number}"


class Host(_Table):
    """Where a run runs and how fast; may differ from one time to the next."""

    slots: Annotated[int, Field(ge=1)] | None = None
    """Sequences at once; None: what the engine suggests."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Of the embedded engine; None: all cores."""
    cache_gb: Annotated[int, Field(ge=1)] = 1
    """Key-value cache of the embedded engine."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Of an OpenAI-compatible server."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds without an answer after which a request fails."""
    share: bool = True
    """Equal prefixes are scored once and drawn from in one call, and a conversation is tokenised
    once; off, to measure what it saves."""
    chat_template: str | None = None
    """A Jinja template, or a file of one, for a server that does not tell its own."""
    prices: Annotated[Prices, Field(exclude_if=Prices().__eq__)] = Prices()
    """For a million tokens: `{prompt = 0.15, generated = 0.6}`."""
    vllm: Annotated[VllmHost, Field(exclude_if=VllmHost().__eq__)] = VllmHost()
    """Of the engine `vllm`."""

    @property
    def openings_kept(self) -> int:
        """Conversations that an engine keeps rendered."""
        return KEPT if self.share else 0


class Recipe(_Table):
    """The whole configuration of a run."""

    study: Study = Study()
    host: Host = Host()

    @classmethod
    def load(cls, path: Path) -> Self:
        """A file, or a recipe that ships, by its name; UsageError names file and key."""
        if not path.exists() and str(path) in shipped_recipes():
            return cls.shipped(str(path))
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            known = ", ".join(shipped_recipes())
            raise UsageError(
                f"cannot read recipe {path}: {error.strerror}; shipped ones: {known}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        return cls.checked(content, str(path))

    @classmethod
    def shipped(cls, name: str) -> Self:
        """A recipe that comes with ponder, by its name."""
        with as_file(files("ponder.recipes") / f"{name}.toml") as path:
            return cls.load(path)

    @classmethod
    def checked(cls, content: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from plain data; raises UsageError in one line that names the key."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UsageError(f"{where}: {_first(error)}") from None

    def changed(
        self, study: Mapping[str, Any], host: Mapping[str, Any], where: str = "command line"
    ) -> Self:
        """The recipe with some values replaced; tables are merged.

        Knobs belong to their strategy or verifier, sizes to their model or verifier: naming
        another one drops them. Raises UsageError, which begins with `where` the values are from.
        """
        content = self.model_dump()
        for owner, owned in _OWNED:
            if study.get(owner, content["study"][owner]) != content["study"][owner]:
                content["study"][owned] = {}
        for table, values in (("study", study), ("host", host)):
            for key, value in values.items():
                known = content[table].get(key)
                both = isinstance(known, dict) and isinstance(value, Mapping)
                merged = {**known, **value} if both else value
                content[table][key] = merged
        return type(self).checked(content, where)

    def with_key(self, key: str, value: object) -> Self:
        """The recipe with one value replaced: `n`, `sampling.top_p`, `host.threads`."""
        table, *rest = key.split(".")
        if table not in ("study", "host") or not rest:
            table, rest = "study", [table, *rest]
        content = value
        for part in reversed(rest):
            content = {part: content}
        changes = cast("dict[str, Any]", content)
        return self.changed(changes, {}) if table == "study" else self.changed({}, changes)


_OWNED = (
    ("strategy", "knobs"),
    ("verifier", "verifier_knobs"),
    ("model", "size"),
    ("verifier", "verifier_size"),
)


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: the key, why, and the value."""
    details = error.errors()[0]
    key = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        meant = _meant(key)
        return f"unknown key `{key}`" + (f": is it `{meant}`?" if meant else "")
    reason = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    value = "" if details["type"] == "value_error" else f", got {details['input']!r}"
    return f"`{key}` {reason}{value}"


def _meant(key: str) -> str | None:
    """A key of the same name in another table, or one beside it that begins so or is almost it."""
    table, _, name = key.rpartition(".")
    places = [other.rpartition(".") for other in _keys(Recipe())]
    beside = [own for other, _, own in places if other == table]
    spelled = [own for own in beside if own.startswith(name)]
    near = [f"{table}.{own}" for own in spelled or get_close_matches(name, beside, n=1, cutoff=0.7)]
    return next(iter([f"{t}.{own}" for t, _, own in places if own == name] or near), None)


def _keys(table: object, within: str = "") -> Iterator[str]:
    """Every key of a recipe, tables included."""
    if isinstance(table, BaseModel):
        names = list(type(table).model_fields)
    elif is_dataclass(table):
        names = [field.name for field in fields(table)]
    else:
        return
    for name in names:
        yield within + name
        yield from _keys(getattr(table, name), f"{within}{name}.")
