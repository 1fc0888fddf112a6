"""Whether a run directory holds the run that is asked for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ponder.errors import RecipeMismatchError

Settings = dict[str, object]


def plain(settings: Mapping[str, object]) -> Settings:
    """The settings as they come back from the file; dates and paths become text."""
    copy: Settings = json.loads(json.dumps(settings, default=str))
    return copy


def check_same_study(
    folder: Path, kept: Settings, asked: Settings, extends: Collection[str]
) -> None:
    """Raise RecipeMismatchError, naming each key with both values, if the studies differ.

    `extends` names keys that may differ, dotted ("dataset.limit"); a table's name stands for all
    of its keys.
    """
    differing = differences(kept, asked, extends)
    if differing:
        raise RecipeMismatchError(
            f"{folder} holds a run of another study: {'; '.join(differing)}: "
            "use these values, or another folder"
        )


def differences(kept: Settings, asked: Settings, extends: Collection[str] = ()) -> list[str]:
    """Each key that differs, dotted, with both values; those that `extends` covers are left out."""
    before, now = dict(_flat(kept)), dict(_flat(asked))
    return [
        f"{key} is {_shown(before, key)} there, {_shown(now, key)} here"
        for key in sorted(before.keys() | now.keys())
        if _shown(before, key) != _shown(now, key) and not _covered(key, extends)
    ]


def _flat(settings: Settings, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(flat: Settings, key: str) -> str:
    return json.dumps(flat[key], ensure_ascii=False) if key in flat else "not set"


def _covered(key: str, extends: Collection[str]) -> bool:
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in extends)
