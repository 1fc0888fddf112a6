"""Finds a reward model's family: `families/` holds those that come with ponder, one TOML file each.

Any path to a file of the same form is a family of one's own.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ponder.errors import UsageError
from ponder.verifiers.reward_family import Family


def family_names() -> tuple[str, ...]:
    """The families that come with ponder."""
    names = (entry.name for entry in files("ponder.verifiers").joinpath("families").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_family(named: str | Path) -> Family:
    """A family by its name, or from a TOML file; raises UsageError naming what is wrong."""
    return _checked(str(named), _content(named))


def family_of(model: str, named: str | Path | None = None) -> Family:
    """The family called `named`, else the one whose patterns fit the model's name or its config.

    A name tells more than a config (two families share most architectures), so it comes first.
    Nothing is downloaded: a model that is not a folder here has only its name. Raises UsageError.
    """
    if named is not None:
        return load_family(named)
    families = [load_family(name) for name in family_names()]
    config = _config(Path(model))
    for family in (*_by_name(families, model), *_by_config(families, config)):
        return family
    known = ", ".join(family_names())
    raise UsageError(
        f"no family of reward models fits {model!r}: name a `family`, one of {known}, or a TOML "
        "file of your own (docs/reward-models.md)"
    )


def _by_name(families: list[Family], model: str) -> Iterator[Family]:
    for family in families:
        if any(fnmatchcase(model.lower(), pattern.lower()) for pattern in family.models):
            yield family


def _by_config(families: list[Family], config: Mapping[str, Any]) -> Iterator[Family]:
    architectures = config.get("architectures") or []
    classes = config.get("num_labels") or len(config.get("id2label") or ("0", "1"))
    for family in families:
        fits = any(fnmatchcase(a, p) for a in architectures for p in family.architectures)
        if fits and family.classes in (None, classes):
            yield family


def _config(folder: Path) -> Mapping[str, Any]:
    """The checkpoint's config.json; empty where there is none."""
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    return content if isinstance(content, dict) else {}


def _content(named: str | Path) -> dict[str, Any]:
    """The family's plain data, over that of the family that it is `like`."""
    source = str(named)
    built_in = source in family_names()
    entry = files("ponder.verifiers").joinpath("families", f"{source}.toml")
    path = entry if built_in else Path(source).expanduser()
    if not path.is_file():
        known = ", ".join(family_names())
        raise UsageError(f"unknown family {source!r}: use one of {known}, or a TOML file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the family {source}: {error}") from None
    content.setdefault("name", source if built_in else Path(source).stem)
    like = content.pop("like", None)
    return content if like is None else _merged(_base(like), content)


def _base(like: object) -> dict[str, Any]:
    """The data of a built-in family, without what chooses it."""
    if like not in family_names():
        raise UsageError(f"`like` must be one of {', '.join(family_names())}, got {like!r}")
    chooses = ("name", "models", "architectures", "classes")
    return {key: value for key, value in _content(str(like)).items() if key not in chooses}


def _merged(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in content.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = {**known, **value}
        else:
            merged[key] = value
    return merged


def _checked(source: str, content: Mapping[str, Any]) -> Family:
    try:
        return Family.model_validate(content)
    except ValidationError as error:
        details = error.errors()[0]
        key = ".".join(str(part) for part in details["loc"])
        reason = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if details["type"] == "extra_forbidden":
            reason = "is unknown"
        raise UsageError(f"family {source}: {f'`{key}` ' if key else ''}{reason}") from None
