"""GGUF files, turned once into OpenVINO folders in the user's cache that give the right numbers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ponder.backends.gguf_header import GgufHeader
from ponder.backends.models import cache_folder
from ponder.errors import EngineError, MissingExtraError

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What OpenVINO GenAI's reader builds."""

_F32, _F16, _Q8_0 = 0, 1, 8
_FAITHFUL = {_F32: "f32", _F16: "f16", _Q8_0: "q8_0"}
"""Tensor types that it reads as they are meant: next-token log-probabilities agree."""


def precision(header: GgufHeader) -> str:
    """Of the weights as they are loaded: the file's own, or `q8_0` if it is re-quantised."""
    kinds = {tensor.kind for tensor in header.tensors.values()}
    return _FAITHFUL.get(max(kinds - {_F32} or {_F32}), "q8_0")


def exported(path: Path, header: GgufHeader, sha256: str, announce: Callable[[str], None]) -> Path:
    """The OpenVINO folder of the GGUF file at `path`, from the cache or made now.

    The reader takes the integer zero points of Q4_1 lossily (layer weights 8 to 9 % off), so
    files with types other than F32, F16 and Q8_0 are re-quantised to Q8_0 first. The folder
    gives the same numbers as the GGUF file that it was made of and loads in half the time. Any
    number of processes may ask at once. Raises EngineError, in one line, for a file that cannot
    be read rightly.
    """
    _refuse_unknown(path, header)
    target = cache_folder() / "models" / f"{path.stem}-{sha256[:16]}-{precision(header)}"
    if target.exists():
        return target
    faithful = {tensor.kind for tensor in header.tensors.values()} <= set(_FAITHFUL)
    how = "as it is" if faithful else "re-quantised to Q8_0"
    announce(f"converting {path.name} once ({how}), into {target}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as work:
            source = path if faithful else Path(work) / "q8_0.gguf"
            if not faithful:
                requantise(path, source)
            _export(source, Path(work) / "model", path.name)
            _publish(Path(work) / "model", target)
    except OSError as error:
        raise EngineError(f"cannot convert {path.name} into {target.parent}: {error}") from error
    return target


def requantise(source: Path, target: Path) -> None:
    """Write `source` with all weights in Q8_0 (F16 where a row is not whole blocks of 32).

    4 s and 145 MB for the default model. Raises EngineError for types that the `gguf` package
    cannot take apart.
    """
    try:
        from gguf import GGUFReader, GGUFWriter, LlamaFileType
    except ImportError:
        raise MissingExtraError("gguf", "embedded") from None
    reader = GGUFReader(source)
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    replaced = {"general.architecture", "general.file_type", "general.quantization_version"}
    for name, field in reader.fields.items():
        if name not in replaced and not name.startswith("GGUF."):
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

    if tensor.tensor_type in (GGMLQuantizationType.F32, GGMLQuantizationType.Q8_0):
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        return
    try:
        rows = quants.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError:
        raise EngineError(
            f"tensor {tensor.name!r} has type {tensor.tensor_type.name}, which cannot be read: "
            "use a file of another type, such as Q8_0"
        ) from None
    whole = rows.shape[-1] % 32 == 0
    kind = GGMLQuantizationType.Q8_0 if whole else GGMLQuantizationType.F16
    writer.add_tensor(tensor.name, quants.quantize(rows, kind), raw_dtype=kind)


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


def _export(source: Path, folder: Path, name: str) -> None:
    """In a process of its own: the reader may end it, and its memory is given back."""
    folder.mkdir()
    link = folder / "source.gguf"
    link.symlink_to(source.resolve())
    command = [sys.executable, "-P", "-m", "ponder.backends.openvino_export", str(link)]
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    link.unlink()
    if done.returncode != 0 or not (folder / "openvino_model.xml").exists():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"the converter ended with status {done.returncode}"
        raise EngineError(f"OpenVINO GenAI cannot read {name}: {reason}")


def _publish(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():  # another process was first, with the same content
            raise
