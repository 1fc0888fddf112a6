"""What a checkpoint's files say: its weights, its ends of text, its tokens in bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends.checkpoint import end_ids, parameters
from ponder.backends.checkpoint_text import CheckpointText, token_pieces
from ponder.errors import EngineError, UsageError
from ponder.types import Message

pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")
from tests.reward_tokenizers import CORPUS, llama, mistral, qwen

TOKENIZERS = {"llama": llama(), "mistral": mistral(), "qwen": qwen()}
KINDS = sorted(TOKENIZERS)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=40) | st.sampled_from([*CORPUS, "🧮 naïve\u2581x"]))
def test_the_bytes_of_its_tokens_make_up_a_text(kind: str, text: str) -> None:
    ours = CheckpointText(TOKENIZERS[kind])
    ids = ours.encode(text)
    found = ours.vocabulary.text(ids)
    if kind == "mistral":  # it puts a space before the first word, and reads its own sign as one
        assert found.removeprefix(" ") == text.replace("\u2581", " ").removeprefix(" ")
    else:
        assert found == text


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_are_no_text(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ours = CheckpointText(tokenizer, size=len(tokenizer) + 9)
    assert ours.end_id is not None
    assert ours.vocabulary.text([ours.end_id, len(tokenizer) + 8]) == ""
    assert len(ours.vocabulary) == len(tokenizer) + 9


def test_a_conversation_is_rendered_up_to_the_answer() -> None:
    ours = CheckpointText(TOKENIZERS["qwen"])
    text = ours.render([Message("user", "2 + 2?")])
    assert text == "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    assert ours.encode(text)[0] == TOKENIZERS["qwen"].convert_tokens_to_ids("<|im_start|>")


def test_a_model_without_a_template_says_so() -> None:
    with pytest.raises(UsageError, match="no chat template"):
        CheckpointText(TOKENIZERS["mistral"]).render([Message("user", "Hi")])


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        CheckpointText(TOKENIZERS["qwen"]).encode("\ud800")


def test_a_tokenizer_of_unknown_bytes_is_refused() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.decoder = decoders.WordPiece()
    with pytest.raises(EngineError, match=r"decoded by \['WordPiece'\]"):
        token_pieces(PreTrainedTokenizerFast(tokenizer_object=words))  # type: ignore[no-untyped-call]


def test_no_tokenizer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot open the tokenizer of") as raised:
        CheckpointText.open(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_ends_of_text_come_from_both_configs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"eos_token_id": 2, "text_config": {}}')
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    assert end_ids(tmp_path) == {2, 7, 9}
    (tmp_path / "config.json").write_text('{"text_config": {"eos_token_id": 5}}')
    (tmp_path / "generation_config.json").unlink()
    assert end_ids(tmp_path) == {5}


def weights(path: Path, **tensors: Any) -> None:
    entries = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
        for name, (dtype, shape) in tensors.items()
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_weights_are_counted_over_all_files(tmp_path: Path) -> None:
    assert parameters(tmp_path) is None
    weights(tmp_path / "1.safetensors", a=("BF16", [3, 4]), b=("F32", []))
    weights(tmp_path / "2.safetensors", c=("F16", [5]))
    assert parameters(tmp_path) == 12 + 1 + 5
    weights(tmp_path / "3.safetensors", packed=("I32", [5]))
    assert parameters(tmp_path) is None
