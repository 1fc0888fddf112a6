"""What tells one checkpoint from another, without reading all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from ponder.errors import UsageError

KINDS: Final = (".json", ".jinja", ".safetensors", ".bin", ".model")
"""Files that may change a score."""
SAMPLED: Final = 1 << 16
"""Bytes of each of the pieces of a large file that are read."""
PIECES: Final = 64
"""Spread over the file, its beginning and end among them."""


def fingerprint(model: str) -> str:
    """The model's name; for a folder with a hash that changes with its files.

    Of large files only pieces are read, so that a checkpoint of any size takes no time: enough to
    tell apart weights that were trained differently. Raises UsageError for a folder without files.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    paths = sorted(path for path in folder.iterdir() if path.suffix in KINDS)
    if not paths:
        raise UsageError(f"{model} holds no model: name the folder with its config.json")
    for path in paths:
        digest.update(f"{path.name}:{path.stat().st_size}:".encode())
        digest.update(_sampled(path))
    return f"{folder.resolve().name}@{digest.hexdigest()[:16]}"


def _sampled(path: Path) -> bytes:
    size = path.stat().st_size
    if size <= SAMPLED * PIECES:
        return path.read_bytes()
    pieces = []
    with path.open("rb") as file:
        for piece in range(PIECES):
            file.seek((size - SAMPLED) * piece // (PIECES - 1))
            pieces.append(file.read(SAMPLED))
    return b"".join(pieces)
