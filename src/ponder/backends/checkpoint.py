"""What a transformers checkpoint's files say, without loading it."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ponder.errors import EngineError, UsageError

KINDS: Final = (".json", ".jinja", ".safetensors", ".bin", ".model")
"""Files that may change a score or a sample."""
SAMPLED: Final = 1 << 16
"""Bytes of each of the pieces of a large file that are read."""
PIECES: Final = 64
"""Spread over the file, its beginning and end among them."""
_FLOATS: Final = ("F64", "F32", "F16", "BF16")
"""Element types of weights that are not packed: each element is one parameter."""


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


def parameters(folder: Path) -> int | None:
    """Weights in the folder's safetensors files; None without any, or where they are packed."""
    return sum(tensor_sizes(folder).values()) or None


def tensor_sizes(folder: Path) -> dict[str, int]:
    """Weights of each tensor in the safetensors files; empty where any is packed."""
    tensors: dict[str, Any] = {}
    for path in folder.glob("*.safetensors"):
        tensors |= _header(path)
    if any(entry["dtype"] not in _FLOATS for entry in tensors.values()):
        return {}
    return {name: math.prod(map(int, entry["shape"])) for name, entry in tensors.items()}


def end_ids(folder: Path) -> frozenset[int]:
    """Tokens that end the text, as far as config and generation config say."""
    config = json_object(folder / "config.json")
    text = config.get("text_config")
    places = [config, text if isinstance(text, dict) else {}]
    places.append(json_object(folder / "generation_config.json"))
    found: set[int] = set()
    for place in places:
        told = place.get("eos_token_id")
        found.update(at for at in (told if isinstance(told, list) else [told]) if type(at) is int)
    return frozenset(found)


def json_object(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none. Raises EngineError for what is not JSON."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} is not JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _header(path: Path) -> Mapping[str, Any]:
    """The tensors of a safetensors file: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        tensors: dict[str, Any] = json.loads(file.read(size))
    tensors.pop("__metadata__", None)
    return tensors


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
