"""Plain values as JSON bytes: calls and traces are kept so, one and more a sample."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as _to_json


def to_json(value: object) -> bytes:
    """Compact JSON of numbers, texts, sequences, mappings and dataclasses.

    A lone surrogate, which a server's JSON may carry, is kept as its escape, since losing a
    finished problem to one broken character would be worse; infinite numbers and NaN are written
    as Python's `json` reads them. Raises TypeError for a value of another kind.
    """
    try:  # several times as fast as Python's own, and refuses lone surrogates
        return _to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":"), default=_fields).encode()


def readable_json(content: object, indent: int | None = None) -> str:
    """JSON for people: every character as it is, but half a surrogate pair as its escape."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode()


def fields_to_json(value: object, kind: TypeAdapter[Any], without: frozenset[str]) -> bytes:
    """The same of a dataclass's fields that are not None, but those `without`.

    What `kind` says of them saves half of the time; how infinite numbers and NaN are written, its
    class says (`ser_json_inf_nan` in `__pydantic_config__`).
    """
    try:
        return kind.dump_json(value, exclude=set(without), exclude_none=True, warnings=False)
    except PydanticSerializationError:
        told = {k: v for k, v in _fields(value).items() if v is not None and k not in without}
        return to_json(told)


def _fields(value: Any) -> dict[str, object]:
    try:
        return {field.name: getattr(value, field.name) for field in fields(value)}
    except TypeError:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON") from None
