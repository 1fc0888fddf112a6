"""Which figures a call wrote, so that the next one can take away those that it does not draw."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ponder.errors import UsageError
from ponder.report.plots.canvas import PAPERS
from ponder.store.files import check_is_folder, replace_file

NAME = "ponder-figures.json"


class Index(BaseModel):
    """What the latest call wrote into a folder."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    version: Literal[1] = Field(1, alias="schema")
    files: Mapping[str, str] = {}
    """SHA-256 by path from the folder."""
    notes: tuple[str, ...] = ()
    """Figures that were not drawn, or leave something out."""


def read_index(folder: Path) -> Index:
    """That of the latest call, empty where there was none.

    Raises UsageError for a file of this name that is no index: it is somebody else's; and for a
    file in the place of the folder.
    """
    check_is_folder(folder)
    path = folder / NAME
    try:
        return Index.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Index()
    except (OSError, ValidationError):
        raise UsageError(
            f"{path} is no index of figures: move it away or take another folder"
        ) from None


def replace_index(folder: Path, before: Index, paths: Sequence[Path], notes: Sequence[str]) -> int:
    """Write the index of these figures, and remove those of `before` that are not among them.

    A file that was changed since stays: it is not the one that was written. Returns how many were
    removed.
    """
    files = {path.relative_to(folder).as_posix(): _digest(path) for path in paths}
    stale = [
        folder / name
        for name, digest in before.files.items()
        if name not in files and _ours(name) and _digest(folder / name) == digest
    ]
    for path in stale:
        path.unlink()
    index = Index(files=files, notes=tuple(notes))
    replace_file(folder / NAME, index.model_dump_json(by_alias=True, indent=2) + "\n")
    return len(stale)


def _ours(name: str) -> bool:
    """A figure's place, and not one outside of the folder."""
    path = Path(name)
    return len(path.parts) == 2 and path.parts[0] in {paper.folder for paper in PAPERS}


def _digest(path: Path) -> str:
    """Empty where there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
