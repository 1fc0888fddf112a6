"""Command line words that mean more than themselves: KEY=VALUE in several forms."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from ponder.errors import UsageError
from ponder.evals.stored_mix import Part
from ponder.recipes import Recipe
from ponder.recipes.costing import Prices
from ponder.search.selection import Aggregation


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given at all."""
    return {key: value for key, value in options.items() if value is not None}


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """`KEY=VALUE` words as a table; raises UsageError for a key that is named twice."""
    found: dict[str, str] = {}
    for key, value in (_pair(word, option) for word in words):
        if key in found:
            raise UsageError(
                f"`{option}` names {key!r} twice, with {found[key]!r} and {value!r}: name it once"
            )
        found[key] = value
    return found


def _pair(word: str, option: str) -> tuple[str, str]:
    key, found, value = word.partition("=")
    if not found or not key or not value:
        raise UsageError(f"`{option}` takes KEY=VALUE, got {word!r}")
    return key, value


def numbers(words: Sequence[str], option: str) -> dict[str, float]:
    """`KEY=NUMBER` words as a table."""
    found = pairs(words, option)
    try:
        return {key: float(value) for key, value in found.items()}
    except ValueError:
        raise UsageError(f"`{option}` takes KEY=NUMBER, got {' '.join(words)!r}") from None


def parts_of(words: Sequence[str]) -> list[Part]:
    """`--mix` words: NAME=WEIGHT, or NAME:AGGREGATION=WEIGHT."""
    return [_part(word) for word in words]


def _part(word: str) -> Part:
    key, _, weight = word.rpartition("=")
    try:
        number = float(weight)
    except ValueError:
        key, number = "", 0.0
    if not key:
        raise UsageError(f"`--mix` takes NAME=WEIGHT or NAME:mean=WEIGHT, got {word!r}")
    name, _, how = key.rpartition(":")
    if name and how in get_args(Aggregation):
        return Part(name, number, cast(Aggregation, how))
    return Part(key, number)


def prices_of(words: Sequence[str]) -> dict[str, float]:
    """`--price` words: what a million tokens of a kind cost."""
    found = numbers(words, "--price")
    for kind, price in found.items():
        if kind not in Prices.model_fields:
            known = ", ".join(Prices.model_fields)
            raise UsageError(f"`--price` has no kind {kind!r}: use one of {known}")
        if not 0 <= price < math.inf:
            raise UsageError(f"`--price` of {kind} must be at least 0, got {price:g}")
    return found


def whole_numbers(text: str | None, option: str) -> tuple[int, ...]:
    """`3,6` as numbers; nothing is none."""
    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"`{option}` takes whole numbers, got {text!r}") from None


def swept(words: Sequence[str]) -> dict[str, list[object]]:
    """`KEY=VALUE,VALUE` words: the values that each key takes."""
    found = pairs(words, "--sweep")
    return {key: [_value(part) for part in value.split(",")] for key, value in found.items()}


def ids_of(text: str | None) -> list[str] | None:
    """`ID,ID` without the blanks around them; None is all problems."""
    if text is None:
        return None
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise UsageError(f"`--ids` takes ID,ID,..., got {text!r}; without it all problems are run")
    return found


def with_keys(recipe: Recipe, words: Sequence[str]) -> Recipe:
    """The recipe with `--set` words: `sampling.top_p=0.9`, `host.threads=1`; TOML or bare text."""
    for key, value in pairs(words, "--set").items():
        recipe = recipe.with_key(key, _value(value))
    return recipe


def knobs(words: Sequence[str]) -> dict[str, object]:
    """`--verifier-knob` words: a TOML value or bare text each."""
    return {key: _value(value) for key, value in pairs(words, "--verifier-knob").items()}


def _value(text: str) -> object:
    """A TOML value; bare text is a string.

    Raises UsageError for bare text with a backslash: whether it is an escape cannot be told.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if "\\" in text:
            raise UsageError(
                f"the value {text} holds a backslash: write '\"{text}\"' if it is an escape, "
                f"\"'{text}'\" if it stands for itself"
            ) from None
        return text
