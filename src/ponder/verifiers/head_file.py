"""A trained head: what it reads of hidden states, its small network, and its files.

A head is a folder: `head.safetensors` holds the arrays, `head.json` says what they were trained on
and for, so that another model, precision or engine does not go unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ponder.errors import MissingExtraError, VerifierError
from ponder.verifiers.head_config import Activation, Features, HeadConfig

Array = NDArray[np.float32]
RECENT: Final = 40
ARRAYS_FILE: Final = "head.safetensors"
CONFIG_FILE: Final = "head.json"
_ACTIVATIONS: Final[Mapping[Activation, Callable[[Array], Array]]] = {
    "relu": lambda inner: np.maximum(inner, np.float32(0)),
    "tanh": np.tanh,
}


class Dense(NamedTuple):
    """inputs @ weight + bias."""

    weight: Array
    """[inputs, outputs]"""
    bias: Array
    """[outputs]"""


@dataclass(frozen=True, slots=True, eq=False)
class ValueHead:
    """A probability that the solution will end right, from the features at a step's end.

    Raises ValueError for arrays that do not fit together.
    """

    config: HeadConfig
    centre: Array
    """[features] Subtracted first."""
    spread: Array
    """[features] Then divided by; over 0."""
    dense: tuple[Dense, ...]
    """The hidden layers, then the one that gives the logit."""

    def __post_init__(self) -> None:
        width = self.width
        if self.centre.shape != (width,) or self.spread.shape != (width,):
            raise ValueError("`centre` and `spread` must be rows of equal length")
        if not (self.spread > 0).all():
            raise ValueError("`spread` must be over 0")
        for layer in self.dense:
            if layer.weight.shape != (width, *layer.bias.shape):
                raise ValueError(f"{width} inputs meet a layer of shape {layer.weight.shape}")
            width = len(layer.bias)
        if not self.dense or width != 1:
            raise ValueError("the last layer must have one output")

    @property
    def width(self) -> int:
        """How many features it reads."""
        return int(self.centre.size)

    @property
    def states_width(self) -> int:
        """How many numbers a token's states must have."""
        return self.width // len(parts_of(self.config.features))

    @property
    def identity(self) -> str:
        """A hash of all that decides a score."""
        told = self.config.model_dump(mode="json", exclude={"training": True, "base": {"path"}})
        digest = hashlib.sha256(repr(sorted(told.items())).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()[:16]

    def logits(self, features: Array) -> Array:
        """[steps, features] to [steps], before calibration."""
        activation = _ACTIVATIONS[self.config.activation]
        values: Array = (features - self.centre) / self.spread
        for layer in self.dense[:-1]:
            values = activation(values @ layer.weight + layer.bias)
        last = self.dense[-1]
        logits: Array = (values @ last.weight + last.bias)[:, 0]
        return logits

    def predict(self, features: Array) -> NDArray[np.float64]:
        """[steps, features] to probabilities [steps] in [0, 1]."""
        calibration = self.config.calibration
        scaled = self.logits(features).astype(np.float64) * calibration.scale + calibration.shift
        return 0.5 * (1 + np.tanh(scaled / 2))

    def save(self, folder: Path) -> None:
        """Write both files, the folder first; raises VerifierError or OSError, naming the file."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _safetensors().save_file(self._arrays(), folder / ARRAYS_FILE)
        except _safetensors_error() as error:
            raise VerifierError(f"cannot write {folder / ARRAYS_FILE}: {_line(error)}") from error
        (folder / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> ValueHead:
        """The head in `folder`; raises VerifierError, naming the file that cannot be read."""
        config = read_config(folder)
        try:
            arrays = _safetensors().load_file(folder / ARRAYS_FILE)
            return cls(config, arrays["centre"], arrays["spread"], _dense(arrays))
        except (OSError, KeyError, ValueError, _safetensors_error()) as error:
            raise VerifierError(f"{folder / ARRAYS_FILE}: {_line(error)}") from error

    def _arrays(self) -> dict[str, Array]:
        arrays = {"centre": self.centre, "spread": self.spread}
        for number, layer in enumerate(self.dense):
            arrays |= {f"weight.{number}": layer.weight, f"bias.{number}": layer.bias}
        return {
            name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()
        }


def read_config(folder: Path) -> HeadConfig:
    """What the head in `folder` says of itself; raises VerifierError, naming the file."""
    try:
        return HeadConfig.model_validate_json((folder / CONFIG_FILE).read_bytes())
    except FileNotFoundError:
        raise VerifierError(
            f"{folder} holds no {CONFIG_FILE}: train a head with `ponder train-verifier`"
        ) from None
    except OSError as error:
        raise VerifierError(f"{folder / CONFIG_FILE}: {_line(error)}") from error
    except ValidationError as error:
        raise VerifierError(
            f"{folder / CONFIG_FILE} cannot be used: {_first(error)}: restore a copy, or train "
            "the head again"
        ) from error


def parts_of(kind: Features) -> tuple[Features, ...]:
    """The features that are read side by side."""
    return cast("tuple[Features, ...]", tuple(kind.split("+")))


def step_features(outputs: Array, start: int, ends: Sequence[int], kind: Features) -> Array:
    """What a head reads at each step's end: [steps, features].

    `outputs` are the states [tokens, width] of the prompt and the solution, which starts at token
    `start` (at least 1); `ends` says before which token each step ends. A step without tokens reads
    what the one before it did, and at the solution's very start the prompt's last state.
    """
    if "+" in kind:
        parts = [step_features(outputs, start, ends, part) for part in parts_of(kind)]
        return np.concatenate(parts, axis=1)
    if kind == "question":
        return np.tile(outputs[start - 1], (len(ends), 1)).astype(np.float32, copy=False)
    back = {"last": 1, "mean": len(outputs), "recent": RECENT}[kind]
    rows = np.zeros((len(ends), outputs.shape[1]), dtype=np.float32)
    for row, end in enumerate(ends):
        first = max(end - back, start) if end > start else start - 1
        rows[row] = outputs[first : max(end, start)].mean(axis=0)
    return rows


def _dense(arrays: Mapping[str, Array]) -> tuple[Dense, ...]:
    count = sum(name.startswith("weight.") for name in arrays)
    return tuple(Dense(arrays[f"weight.{i}"], arrays[f"bias.{i}"]) for i in range(count))


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("safetensors", "embedded") from None
    return safetensors.numpy


def _safetensors_error() -> type[Exception]:
    import safetensors

    return safetensors.SafetensorError


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: the key and why."""
    details = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in details["loc"])
    return f"`{key}`: {details['msg']}" if key else details["msg"]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
