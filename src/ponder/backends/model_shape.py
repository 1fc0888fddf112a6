"""How large a model is, by what its files on this machine say, without loading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ponder.backends.checkpoint import json_object, tensor_sizes
from ponder.backends.gguf_header import read_header
from ponder.backends.models import SMOLLM2, cache_folder

_CONSTANT = re.compile(r'element_type="(?:f|bf|u|i|nf)\d+" shape="((?:\d+, )*\d+)"')
_INDICES = re.compile(r'element_type="[iu](?:32|64)"')
_ATTENTION = re.compile(
    r'type="ScaledDotProductAttention".*?' + r"\s*".join([r"<dim>(-?\d+)</dim>"] * 4), re.DOTALL
)
"""With the shape of its queries: batch, heads, tokens, the width of a head."""
_EXPERT = re.compile(r"\bexperts\b|_exps\b")
"""In the names of tensors of which a token goes through some only."""


class ModelShape(NamedTuple):
    """What floating-point operations are counted by; None where the files do not tell."""

    parameters: int | None = None
    """Weights that each token goes through: of a mixture of experts, the active ones."""
    layers: int | None = None
    """Attention layers."""
    width: int | None = None
    """Query heads times the width of one."""


UNKNOWN = ModelShape()


def shape_of(model: str | Path | None, revision: str | None = None) -> ModelShape:
    """Of a GGUF file, a folder (checkpoint or exported to OpenVINO), or a name on the hub.

    None is the default model. Of a name on the hub the files that were fetched before are read;
    nothing is fetched. `UNKNOWN` where there is nothing to read; raises EngineError for a damaged
    file.
    """
    path = cache_folder() / "models" / SMOLLM2.file if model is None else Path(model).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return _of_gguf(path)
    folder = path if path.is_dir() else _fetched(str(model), revision)
    return UNKNOWN if folder is None else _of_folder(folder)


def _of_gguf(path: Path) -> ModelShape:
    header = read_header(path)
    sizes = {name: tensor.weights for name, tensor in header.tensors.items()}
    heads = header.number("{arch}.attention.head_count")
    head_width = header.number("{arch}.attention.key_length")
    width = heads * head_width if heads and head_width else header.number("{arch}.embedding_length")
    experts = header.number("{arch}.expert_count"), header.number("{arch}.expert_used_count")
    return ModelShape(_active(sizes, *experts), header.number("{arch}.block_count"), width)


def _of_folder(folder: Path) -> ModelShape:
    whole = json_object(folder / "config.json")
    text = whole.get("text_config")
    config = text if isinstance(text, dict) else whole
    heads = _whole(config, "num_attention_heads")
    head_width = _whole(config, "head_dim")
    width = heads * head_width if heads and head_width else _whole(config, "hidden_size")
    experts = _whole(config, "num_experts", "num_local_experts", "n_routed_experts")
    used = _whole(config, "num_experts_per_tok")
    layers = _whole(config, "num_hidden_layers")
    if not (folder / "openvino_model.xml").exists():
        return ModelShape(_active(tensor_sizes(folder), experts, used), layers, width)
    graph = (folder / "openvino_model.xml").read_text(encoding="utf-8")
    attention = [int(heads) * int(of_one) for _, heads, _, of_one in _ATTENTION.findall(graph)]
    return ModelShape(
        _active(_constants(graph), experts, used),
        layers or len(attention) or None,
        width or (attention[0] if attention and attention[0] > 0 else None),
    )


def _whole(config: Mapping[str, Any], *keys: str) -> int | None:
    """The first whole number under these keys."""
    return next((config[key] for key in keys if type(config.get(key)) is int), None)


def _active(sizes: Mapping[str, int], experts: int | None, used: int | None) -> int | None:
    """Weights that a token goes through; None without any, or for experts that none is named by."""
    if not sizes:
        return None
    chosen = sum(size for name, size in sizes.items() if _EXPERT.search(name))
    if experts is None or experts < 2:
        return sum(sizes.values())
    if not chosen or used is None:
        return None
    return sum(sizes.values()) - chosen + chosen * used // experts


def _constants(graph: str) -> dict[str, int]:
    """Weights of an OpenVINO graph by their place in it.

    Quantised ones stand as [rows, groups, members], beside scales and zero points that end in 1.
    Shapes and indices are whole numbers of 32 and 64 bits.
    """
    sizes: dict[str, int] = {}
    for found in _CONSTANT.finditer(graph):
        shape = [int(length) for length in found[1].split(", ")]
        if shape[-1] > 1 and not _INDICES.match(found[0]):
            sizes[str(found.start())] = prod(shape)
    return sizes


def _fetched(name: str, revision: str | None) -> Path | None:
    """The folder of a hub model's files on this machine."""
    if find_spec("huggingface_hub") is None or name.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(file).parent if isinstance(file, str) else None
