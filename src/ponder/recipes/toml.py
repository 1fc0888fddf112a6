"""Writes a recipe as TOML (the standard library only reads it)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ponder.recipes.recipe import Recipe


def recipe_toml(recipe: Recipe) -> str:
    """The recipe's values that differ from nothing: None and empty tables are left out."""
    return "\n".join(_table(recipe.model_dump(), "")).lstrip() + "\n"


def _table(content: Mapping[str, object], name: str) -> Iterator[str]:
    plain = {k: v for k, v in content.items() if v is not None and not isinstance(v, Mapping)}
    tables = {k: v for k, v in content.items() if isinstance(v, Mapping) and v}
    if name and (plain or not tables):
        yield f"\n[{name}]"
    yield from (f"{_key(key)} = {_value(value)}" for key, value in plain.items())
    for key, table in tables.items():
        yield from _table(table, f"{name}.{_key(key)}" if name else _key(key))


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
