"""What the command line says of recipe keys: none named in vain, none both set and swept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ponder.errors import UsageError
from ponder.recipes import Recipe


def check_named(
    options: Mapping[str, Any],
    words: Sequence[str],
    swept: Sequence[str],
    recipes: Sequence[Recipe],
) -> None:
    """Raise UsageError for a key that is set and swept, or that none of the recipes reads.

    `options` are the tables that the options fill, `words` and `swept` the words of `--set` and
    `--sweep`; what a recipe file says may stand there for another engine or verifier.
    """
    filled = set(_dotted(options))
    given = [(_key_of(word), f"--set {word}") for word in words]
    varied = [(_key_of(word), f"--sweep {word}") for word in swept]
    once = filled | {key for key, _ in given}
    for key, word in varied:
        if key in once:
            raise UsageError(
                f"`{word}` varies `{key}`, which is set beside it: leave one of them out"
            )
    if "host.base_url" in filled:
        given.append(("host.base_url", f"--base-url {options['host']['base_url']}"))
    for key, word in (*given, *varied):
        _check_read(key, word, recipes)


def _check_read(key: str, word: str, recipes: Sequence[Recipe]) -> None:
    table = key.removeprefix("host.").partition(".")[0]
    if table == "verifier_knobs" and all(recipe.study.verifier is None for recipe in recipes):
        raise UsageError(f"`{word}` is for a verifier, and none is named: add `--verifier NAME`")
    engine = {"base_url": "openai", "vllm": "vllm"}.get(table)
    engines = [recipe.study.engine for recipe in recipes]
    if engine is not None and engine not in engines:
        server = ""
        if engine == "openai" and any("base_url" in own.study.verifier_knobs for own in recipes):
            server = "; a verifier's server is its knob `base_url`"
        raise UsageError(
            f"`{word}` is for the engine {engine}, and the engine is {engines[0]}: add "
            f"`--engine {engine}`, or leave it out{server}"
        )


def _dotted(table: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{within}{key}.")
        else:
            yield f"{within}{key}"


def _key_of(word: str) -> str:
    """The key of KEY=VALUE, as `Recipe.with_key` reads it."""
    return word.partition("=")[0].removeprefix("study.")
