"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ponder.errors import UsageError


def check_is_folder(path: Path) -> None:
    """Raise UsageError where a file stands in the place of a folder."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and a folder is wanted: name another place")


def check_can_be_filled(path: Path) -> None:
    """Raise UsageError where `path` is no folder to write in, and cannot be made; makes nothing."""
    # Unlike Path.exists, this is false for what may not be looked at.
    place = next(filter(os.path.exists, (path, *path.absolute().parents)))
    check_is_folder(place)
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write in {place}: name another place, or change who may write")


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file in one move, so that no crash leaves half of it; text as UTF-8.

    Folders above it are made. Raises UsageError where nothing can be written under that name.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder, name a file in it")
    draft = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where not even the draft could be written
            draft.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
