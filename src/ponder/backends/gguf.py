"""GGUF files, turned once into OpenVINO folders in the user's cache that give the right numbers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ponder.backends.gguf_header import GgufHeader
from ponder.backends.models import cache_folder
from ponder.errors import EngineError, MissingExtraError

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What OpenVINO GenAI's reader builds."""

_F32, _F16, _Q8_0, _BF16 = 0, 1, 8, 30


def precision(header: GgufHeader) -> Literal["f16", "q8_0"]:
    """Of the matrices as they are loaded: `q8_0` if the file quantises any of them."""
    return "f16" if _kinds(header) <= {_F32, _F16, _BF16} else "q8_0"


def _kinds(header: GgufHeader) -> set[int]:
    """The types of the matrices; vectors are F32 in every file."""
    return {tensor.kind for tensor in header.tensors.values() if tensor.dimensions > 1}


def exported(path: Path, header: GgufHeader, sha256: str, announce: Callable[[str], None]) -> Path:
    """The OpenVINO folder of the GGUF file at `path`, from the cache or made now.

    The reader takes the integer zero points of Q4_1 lossily (layer weights 8 to 9 % off) and
    refuses several types, so a file whose matrices are not all F16 or all Q8_0 is written anew
    first. The folder gives the same numbers as the GGUF file that it was made of and loads in
    half the time. Any number of processes may ask at once. Raises EngineError, in one line, for
    a file that cannot be read rightly.
    """
    _refuse_unknown(path, header)
    wanted = precision(header)
    target = cache_folder() / "models" / f"{path.stem}-{sha256[:16]}-{wanted}"
    if target.exists():
        return target
    announce(f"converting {path.name} to OpenVINO ({wanted}) once, into {target}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as work:
            source = path
            if _kinds(header) not in ({_F16}, {_Q8_0}):
                source = Path(work) / "source.gguf"
                requantise(path, source, wanted)
            _export(source, Path(work) / "model", path.name)
            _publish(Path(work) / "model", target)
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot convert {path.name} into {target.parent}: {error}") from error
    return target


def requantise(source: Path, target: Path, wanted: Literal["f16", "q8_0"]) -> None:
    """Write `source` with all its matrices in one type.

    To Q8_0, 4 s and 145 MB for the default model. Raises EngineError for types that the `gguf`
    package cannot take apart.
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
    writer.add_file_type(LlamaFileType[f"MOSTLY_{wanted.upper()}"])
    writer.add_quantization_version(2)
    for tensor in reader.tensors:
        _add(writer, tensor, wanted.upper())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, tensor: Any, wanted: str) -> None:
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[wanted if len(tensor.shape) > 1 else "F32"]
    if tensor.tensor_type == kind:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=kind)
        return
    try:
        rows = quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, quants.quantize(rows, kind), raw_dtype=kind)
    except (NotImplementedError, quants.QuantError) as error:
        raise EngineError(
            f"tensor {tensor.name!r} of type {tensor.tensor_type.name} cannot be written as "
            f"{kind.name}: {error}"
        ) from error


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
