"""From what a user names to files that OpenVINO GenAI reads rightly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ponder.backends.checkpoint import json_object
from ponder.backends.gguf import exported, precision
from ponder.backends.gguf_header import GgufHeader, read_header
from ponder.backends.model_shape import shape_of
from ponder.backends.models import default_model, file_sha256
from ponder.errors import EngineError, UsageError


class LocalModel(NamedTuple):
    """A model on this machine, ready to be loaded."""

    path: Path
    """A folder with an exported OpenVINO model."""
    name: str
    sha256: str
    """Of the file that the user named, or of the folder's weights."""
    precision: str
    """Of the weights as they are loaded."""
    context: int | None
    """Tokens that the model was made for, if its files say so."""
    end_ids: tuple[int, ...]
    """Tokens that end the text, as far as its files say."""
    parameters: int | None
    """Weights, if its files say."""


def find_model(model: str | Path | None, announce: Callable[[str], None]) -> LocalModel:
    """The model that `model` names; None is the default model, fetched when missing.

    Raises UsageError for a path that is no model, EngineError for a model that cannot be used.
    """
    path = default_model(announce) if model is None else Path(model).expanduser()
    if path.is_dir() and (path / "openvino_model.xml").exists():
        return _folder(path)
    if path.is_file() and path.suffix == ".gguf":
        return _gguf(path, announce)
    if not path.exists():
        raise UsageError(
            f"{path} does not exist: name a .gguf file or a folder with openvino_model.xml, or "
            "leave the model out for the default one"
        )
    raise UsageError(
        f"{path} is neither a .gguf file nor a folder with openvino_model.xml: "
        "name one, or leave the model out for the default one"
    )


def _gguf(path: Path, announce: Callable[[str], None]) -> LocalModel:
    header = read_header(path)
    sha256 = file_sha256(path)
    return LocalModel(
        path=exported(path, header, sha256, announce),
        name=path.stem,
        sha256=sha256,
        precision=precision(header),
        context=header.number("{arch}.context_length"),
        end_ids=_end_ids(header),
        parameters=header.parameters,
    )


def _end_ids(header: GgufHeader) -> tuple[int, ...]:
    keys = ("eos_token_id", "eot_token_id", "eom_token_id")
    found = (header.number(f"tokenizer.ggml.{key}") for key in keys)
    return tuple(number for number in found if number is not None)


def _folder(folder: Path) -> LocalModel:
    for name in ("openvino_model.bin", "openvino_tokenizer.xml", "openvino_detokenizer.xml"):
        if not (folder / name).exists():
            raise EngineError(f"{folder} holds openvino_model.xml but no {name}: export it again")
    files = [folder / "openvino_model.xml", folder / "openvino_model.bin"]
    digest = hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
    context = json_object(folder / "config.json").get("max_position_embeddings")
    ended = json_object(folder / "generation_config.json").get("eos_token_id")
    end_ids = ended if isinstance(ended, list) else [ended]
    return LocalModel(
        path=folder,
        name=folder.resolve().name,
        sha256=digest,
        precision="exported",
        context=context if isinstance(context, int) else None,
        end_ids=tuple(number for number in end_ids if isinstance(number, int)),
        parameters=shape_of(folder).parameters,
    )
