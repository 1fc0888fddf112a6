"""Reads what a GGUF file says of itself, without its tensors' data."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

from ponder.errors import EngineError

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9

Value = str | int | float | bool | list["Value"]
"""What a metadata key may hold."""


class TensorInfo(NamedTuple):
    """What the header says of one tensor."""

    kind: int
    """The number of its type in the GGUF format."""
    dimensions: int
    weights: int
    """How many numbers it holds."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A GGUF file's metadata and the kinds of its tensors."""

    metadata: dict[str, Value]
    tensors: dict[str, TensorInfo]
    """By name."""

    @property
    def architecture(self) -> str:
        """The family of the model, such as `llama`."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def parameters(self) -> int:
        """Weights of the model."""
        return sum(tensor.weights for tensor in self.tensors.values())

    def number(self, key: str) -> int | None:
        """A whole number under `key`, where `{arch}` stands for the architecture."""
        value = self.metadata.get(key.format(arch=self.architecture))
        return value if isinstance(value, int) else None

    def strings(self, key: str) -> list[str]:
        """A list of strings under `key`; empty if there is none."""
        value = self.metadata.get(key)
        return [str(item) for item in value] if isinstance(value, list) else []


def read_header(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path` (versions 2 and 3, little-endian).

    Raises EngineError if it is not such a file or is cut short.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise EngineError(f"{path} is not a readable GGUF file: {error}") from error


class _Reader:
    """A cursor over the bytes of one file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def header(self) -> GgufHeader:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version = self._scalar("I")
        if version not in (2, 3):
            raise ValueError(f"version {version} is not 2 or 3")
        tensors, keys = int(self._scalar("Q")), int(self._scalar("Q"))
        metadata = {self._string(): self._value(int(self._scalar("I"))) for _ in range(keys)}
        return GgufHeader(metadata, dict(self._tensor() for _ in range(tensors)))

    def _scalar(self, code: str) -> int | float | bool:
        size = struct.calcsize("<" + code)
        value: int | float | bool = struct.unpack_from("<" + code, self._data, self._at)[0]
        self._at += size
        return value

    def _string(self) -> str:
        length = int(self._scalar("Q"))
        self._at += length
        if self._at > len(self._data):
            raise ValueError("it is cut short")
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalar(_SCALARS[kind])
        item, length = int(self._scalar("I")), int(self._scalar("Q"))
        if item in (_STRING, _ARRAY):
            return [self._value(item) for _ in range(length)]
        values = struct.unpack_from(f"<{length}{_SCALARS[item]}", self._data, self._at)
        self._at += struct.calcsize(f"<{length}{_SCALARS[item]}")
        return list(values)

    def _tensor(self) -> tuple[str, TensorInfo]:
        name = self._string()
        shape = [int(self._scalar("Q")) for _ in range(int(self._scalar("I")))]
        kind = int(self._scalar("I"))
        self._scalar("Q")
        return name, TensorInfo(kind, len(shape), prod(shape))
