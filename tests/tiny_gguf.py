"""Tiny random models as GGUF files, with a byte-level tokenizer: they load in a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter, TokenType, quants

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = [("\n", "\n"), (" ", "a"), ("t", "h"), ("th", "e")]

WIDTH, HEADS, KEY_HEADS, HIDDEN, LAYERS = 64, 4, 2, 96, 2


def byte_letters() -> list[str]:
    """The printable stand-in of each byte, as GPT-2's tokenizer writes it."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def write_tiny(
    path: Path,
    kind: str = "F16",
    architecture: str = "llama",
    head: int = 16,
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write a model whose matrices have the type `kind`.

    `head` is the size of an attention head; `metadata` replaces or adds keys of the file.
    """
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    tokens = _tokenizer(writer)
    values: dict[str, Any] = {
        f"{architecture}.context_length": 256,
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.feed_forward_length": HIDDEN,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": KEY_HEADS,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.attention.key_length": head,
        f"{architecture}.attention.value_length": head,
        f"{architecture}.rope.dimension_count": head,
        f"{architecture}.rope.freq_base": 10000.0,
        "general.file_type": {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3}.get(kind, 7),
        **metadata,
    }
    for key, value in values.items():
        _add(writer, key, value)
    for name, weights in _weights(architecture, tokens, head).items():
        wanted = Kind[kind] if weights.ndim > 1 else Kind.F32
        writer.add_tensor(name, quants.quantize(weights, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    match value:
        case str():
            writer.add_string(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)


def _tokenizer(writer: GGUFWriter) -> int:
    letters = byte_letters()
    merges = [
        ["".join(letters[byte] for byte in part.encode()) for part in pair] for pair in MERGES
    ]
    tokens = CONTROL + letters + ["".join(pair) for pair in merges]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL] * len(CONTROL)
    writer.add_token_types(kinds + [TokenType.NORMAL] * (len(tokens) - len(kinds)))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def _weights(
    architecture: str, tokens: int, head: int
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Any:
        return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    def vector(size: int, middle: float) -> Any:
        return (middle + 0.3 * rng.standard_normal(size)).astype(np.float32)

    found = {"token_embd.weight": 2 * matrix(tokens, WIDTH), "output_norm.weight": vector(WIDTH, 3)}
    biases = {"q": HEADS * head, "k": KEY_HEADS * head, "v": KEY_HEADS * head}
    for layer in range(LAYERS):
        block = {
            "attn_norm.weight": vector(WIDTH, 1),
            "attn_q.weight": matrix(HEADS * head, WIDTH),
            "attn_k.weight": matrix(KEY_HEADS * head, WIDTH),
            "attn_v.weight": matrix(KEY_HEADS * head, WIDTH),
            "attn_output.weight": matrix(WIDTH, HEADS * head),
            "ffn_norm.weight": vector(WIDTH, 1),
            "ffn_gate.weight": matrix(HIDDEN, WIDTH),
            "ffn_up.weight": matrix(HIDDEN, WIDTH),
            "ffn_down.weight": matrix(WIDTH, HIDDEN),
        }
        if architecture == "qwen2":
            block |= {f"attn_{n}.bias": vector(s, 0) for n, s in biases.items()}
        if architecture == "qwen3":
            block |= {f"attn_{n}_norm.weight": vector(head, 1) for n in "qk"}
        found |= {f"blk.{layer}.{name}": weights for name, weights in block.items()}
    return found
