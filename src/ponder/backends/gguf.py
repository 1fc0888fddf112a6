"""GGUF files that OpenVINO GenAI reads wrongly, re-quantised once into the user's cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ponder.backends.gguf_header import GgufHeader
from ponder.backends.models import cache_folder
from ponder.errors import EngineError, MissingExtraError

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What OpenVINO GenAI's reader builds."""

_F32, _F16, _Q8_0 = 0, 1, 8
_FAITHFUL = {_F32: "f32", _F16: "f16", _Q8_0: "q8_0"}
"""Tensor types that it reads as they are meant: next-token log-probabilities agree."""


class Loadable(NamedTuple):
    """A file that can be read as it is, and its precision."""

    path: Path
    precision: str


def loadable(
    path: Path, header: GgufHeader, sha256: str, announce: Callable[[str], None]
) -> Loadable:
    """`path` itself, or its Q8_0 form from the cache, made now if it is missing.

    The reader takes the integer zero points of Q4_1 lossily (layer weights 8 to 9 % off), so
    every type but F32, F16 and Q8_0 is taken apart by the `gguf` package and written as Q8_0,
    which costs 4 s and 145 MB for the default model. Raises EngineError, in one line, for a
    model that cannot be read rightly.
    """
    _refuse_unknown(path, header)
    kinds = {tensor.kind for tensor in header.tensors.values()}
    if kinds <= set(_FAITHFUL):
        precision = max(kinds - {_F32} or {_F32})
        return Loadable(path, _FAITHFUL[precision])
    target = cache_folder() / "models" / f"{path.stem}-{sha256[:16]}-q8_0.gguf"
    if not target.exists():
        announce(f"re-quantising {path.name} to Q8_0 once, into {target.parent}")
        _requantise(path, target)
    return Loadable(target, "q8_0")


def _refuse_unknown(path: Path, header: GgufHeader) -> None:
    if header.architecture not in ARCHITECTURES:
        raise EngineError(
            f"{path.name}: architecture {header.architecture!r} is not supported, "
            f"only {', '.join(ARCHITECTURES)}"
        )
    kind = header.metadata.get("tokenizer.ggml.model")
    if kind != "gpt2":
        raise EngineError(f"{path.name}: tokenizer {kind!r} is not supported, only 'gpt2' (BPE)")
    scaled = header.metadata.get(f"{header.architecture}.rope.scaling.type", "none")
    if "rope_freqs.weight" in header.tensors or scaled != "none":
        raise EngineError(
            f"{path.name}: its scaled rotary embedding would be read wrongly from GGUF; "
            "use an exported OpenVINO folder of this model"
        )


def _requantise(source: Path, target: Path) -> None:
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise MissingExtraError("gguf", "embedded") from None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".requantise-", dir=target.parent) as work:
            _write(source, Path(work) / target.name)
            (Path(work) / target.name).replace(target)
    except (OSError, ValueError, NotImplementedError) as error:
        raise EngineError(f"cannot re-quantise {source.name} to Q8_0: {error}") from error


def _write(source: Path, target: Path) -> None:
    from gguf import GGUFReader, GGUFWriter, LlamaFileType

    reader = GGUFReader(source)
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    kept = {"general.architecture", "general.file_type", "general.quantization_version"}
    for name, field in reader.fields.items():
        if name not in kept and not name.startswith("GGUF."):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
    for tensor in reader.tensors:
        _add(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, tensor: Any) -> None:
    from gguf import GGMLQuantizationType, quants

    faithful = tensor.tensor_type in (GGMLQuantizationType.F32, GGMLQuantizationType.Q8_0)
    if faithful:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        return
    rows = quants.dequantize(tensor.data, tensor.tensor_type)
    whole = rows.shape[-1] % 32 == 0
    kind = GGMLQuantizationType.Q8_0 if whole else GGMLQuantizationType.F16
    writer.add_tensor(tensor.name, quants.quantize(rows, kind), raw_dtype=kind)
