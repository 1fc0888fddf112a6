"""Model files: what is read, converted or refused, and whether the loaded model's numbers hold."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from ponder.backends.gguf import exported
from ponder.backends.gguf_header import read_header
from ponder.backends.local_model import find_model
from ponder.backends.models import default_model, silent
from ponder.backends.openvino_messages import Draw, Settings
from ponder.backends.openvino_process import OpenVinoProcess
from ponder.errors import EngineError, UsageError
from tests.gguf_reference import Reference
from tests.tiny_gguf import write_tiny

QUESTIONS = ("Tom has 3 apples and buys 4 more. How many?", "Write about the sea.", "12 * 7 = ?")

Errors = np.ndarray[Any, np.dtype[Any]]


async def logprob_errors(
    model: Path, reference: Reference, samples: int, tokens: int, reproducible: bool = False
) -> Errors:
    """How far the engine's log-probabilities of sampled tokens are from the reference's."""
    settings = Settings(str(model), (), 256, 16, 1, None, None, reproducible)
    process = OpenVinoProcess(settings)
    try:
        await process.open()
        found: list[float] = []
        for question in QUESTIONS:
            _, ids = await process.ask("render", [("user", question)])
            found += await _errors_of(process, reference, ids, range(11, 11 + samples), tokens)
        return np.abs(found)
    finally:
        await process.aclose()


async def _errors_of(
    process: OpenVinoProcess, reference: Reference, ids: list[int], seeds: Sequence[int], limit: int
) -> list[float]:
    draw = Draw(
        process.number(), tuple(ids), len(ids), tuple(seeds), 1.0, 1.0, 0, limit, "length", None, ()
    )
    errors: list[float] = []
    async with aclosing(process.draw(draw)) as samples:
        async for drawn in samples:
            assert drawn.error is None
            assert drawn.token_ids is not None
            assert drawn.logprobs is not None
            wanted = reference.logprobs([*ids, *drawn.token_ids])[len(ids) - 1 : -1]
            picked = wanted[np.arange(len(drawn.token_ids)), list(drawn.token_ids)]
            errors += list(np.array(drawn.logprobs) - picked)
    return errors


def opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `path` is converted into, kept beside it."""
    monkeypatch.setenv("PONDER_CACHE", str(path.parent / "cache"))
    return find_model(path, silent).path


@pytest.mark.engine
async def test_the_default_model_gives_the_log_probabilities_of_its_file() -> None:
    file = default_model()
    errors = await logprob_errors(find_model(None, silent).path, Reference(file), 1, 12)
    assert len(errors) > 20
    assert errors.mean() < 0.2  # 0.09 with the shipped reader, 0.76 from the file itself


@pytest.mark.engine
async def test_the_check_sees_a_file_that_is_read_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_tiny(tmp_path / "tiny.gguf", "Q4_1")
    reference = Reference(file)
    converted = await logprob_errors(opened(file, monkeypatch), reference, 4, 20)
    straight = await logprob_errors(file, reference, 4, 20)
    assert converted.mean() < 0.1  # 0.02
    assert straight.mean() > 0.3  # 0.80


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize(
    ("kind", "architecture", "head"),
    [
        *((kind, "llama", 16) for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0")),
        ("Q5_1", "qwen3", 16),
        ("F16", "llama", 32),
        ("F16", "qwen2", 16),
        ("Q8_0", "qwen2", 16),
        ("F16", "qwen3", 32),
    ],
)
async def test_each_type_and_architecture_gives_the_numbers_of_its_file(
    kind: str, architecture: str, head: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_tiny(tmp_path / "tiny.gguf", kind, architecture, head)
    errors = await logprob_errors(opened(file, monkeypatch), Reference(file), 8, 24)
    assert errors.mean() < 0.1


@pytest.mark.long
@pytest.mark.engine
async def test_full_precision_gives_the_numbers_to_the_third_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_tiny(tmp_path / "tiny.gguf", "F16")
    errors = await logprob_errors(opened(file, monkeypatch), Reference(file), 8, 24, True)
    assert errors.mean() < 2e-3


def test_the_header_tells_types_sizes_and_metadata(tmp_path: Path) -> None:
    header = read_header(write_tiny(tmp_path / "tiny.gguf", "Q4_1"))
    assert header.architecture == "llama"
    assert header.number("{arch}.context_length") == 256
    assert header.number("tokenizer.ggml.eos_token_id") == 2
    assert header.tensors["token_embd.weight"].kind == GGMLQuantizationType.Q4_1
    assert header.tensors["output_norm.weight"] == (GGMLQuantizationType.F32, 1, 64)
    assert header.parameters == sum(tensor.weights for tensor in header.tensors.values())


@pytest.mark.parametrize("size", [0, 3, 20, 2000])
def test_a_file_cut_short_is_one_clear_line(tmp_path: Path, size: int) -> None:
    whole = write_tiny(tmp_path / "tiny.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:size])
    with pytest.raises(EngineError, match="is not a readable GGUF file") as caught:
        find_model(cut, silent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "changes", "complaint"),
    [
        ("gemma", {}, "architecture 'gemma' is not supported"),
        ("llama", {"tokenizer.ggml.model": "llama"}, "tokenizer 'llama' is not supported"),
        ("llama", {"llama.rope.scaling.type": "yarn"}, "rotary embedding would be read wrongly"),
    ],
)
def test_a_model_that_would_be_read_wrongly_is_refused(
    tmp_path: Path, architecture: str, changes: dict[str, str], complaint: str
) -> None:
    file = write_tiny(tmp_path / "odd.gguf", architecture=architecture, metadata=changes)
    with pytest.raises(EngineError, match=complaint) as caught:
        find_model(file, silent)
    assert "odd.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_type_that_cannot_be_taken_apart_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "odd.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.int8))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    with pytest.raises(EngineError, match="of type I8 cannot be written as Q8_0") as caught:
        exported(file, read_header(file), "0" * 64, silent)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_what_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"nowhere\.gguf does not exist: name a \.gguf file or a folder"
    ):
        find_model(tmp_path / "nowhere.gguf", silent)
    (tmp_path / "openvino_model.xml").touch()
    with pytest.raises(EngineError, match=r"but no openvino_model\.bin"):
        find_model(tmp_path, silent)
