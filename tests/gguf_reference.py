"""An independent computation of next-token log-probabilities from a GGUF file, in numpy.

Float32 throughout, one sequence at a time, no cache: slow and plain. Written from the models'
definitions: RMSNorm, rotary positions, grouped-query attention, SwiGLU. llama's files hold its
query and key rows in the order in which neighbouring pairs are rotated; qwen's rotate halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, quants

Array = np.ndarray[Any, np.dtype[Any]]


class Reference:
    """A model read from `path`."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self._weights: dict[str, Array] = {
            tensor.name: quants.dequantize(tensor.data, tensor.tensor_type)
            for tensor in reader.tensors
        }
        architecture = reader.fields["general.architecture"].contents()

        def value(name: str) -> Any:
            return reader.fields[f"{architecture}.{name}"].contents()

        self._layers = int(value("block_count"))
        self._heads = int(value("attention.head_count"))
        self._key_heads = int(value("attention.head_count_kv"))
        self._epsilon = float(value("attention.layer_norm_rms_epsilon"))
        self._base = float(value("rope.freq_base"))
        self._neighbours = architecture == "llama"

    def logprobs(self, ids: Sequence[int]) -> Array:
        """After each of `ids`, the log-probability of each token to come next."""
        state = self._weights["token_embd.weight"][list(ids)]
        for layer in range(self._layers):
            state = state + self._attention(layer, self._normed(state, f"blk.{layer}.attn_norm"))
            state = state + self._feed_forward(layer, self._normed(state, f"blk.{layer}.ffn_norm"))
        state = self._normed(state, "output_norm")
        head = self._weights.get("output.weight", self._weights["token_embd.weight"])
        logits: Array = (state @ head.T).astype(np.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return logits

    def _normed(self, state: Array, name: str) -> Array:
        scale: Array = np.sqrt((state**2).mean(axis=-1, keepdims=True) + self._epsilon)
        normed: Array = state / scale * self._weights[f"{name}.weight"]
        return normed

    def _linear(self, state: Array, name: str) -> Array:
        bias = self._weights.get(f"{name}.bias", np.zeros(1))
        result: Array = state @ self._weights[f"{name}.weight"].T + bias
        return result

    def _attention(self, layer: int, state: Array) -> Array:
        length, name = len(state), f"blk.{layer}.attn_"
        query = self._linear(state, name + "q").reshape(length, self._heads, -1)
        key = self._linear(state, name + "k").reshape(length, self._key_heads, -1)
        value = self._linear(state, name + "v").reshape(length, self._key_heads, -1)
        if f"{name}q_norm.weight" in self._weights:
            query, key = self._normed(query, name + "q_norm"), self._normed(key, name + "k_norm")
        query, key = self._rotated(query), self._rotated(key)
        group = self._heads // self._key_heads
        key, value = key.repeat(group, axis=1), value.repeat(group, axis=1)
        weight = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(query.shape[-1])
        weight += np.triu(np.full((length, length), -np.inf), 1)
        weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", weight, value).reshape(length, -1)
        return self._linear(mixed.astype(np.float32), name + "output")

    def _rotated(self, state: Array) -> Array:
        half = state.shape[-1] // 2
        angles = np.outer(np.arange(len(state)), self._base ** (-np.arange(half) / half))
        turn = np.exp(1j * angles)[:, None, :]
        if self._neighbours:
            pairs = (state[..., 0::2] + 1j * state[..., 1::2]) * turn
            return np.stack([pairs.real, pairs.imag], axis=-1).reshape(state.shape)
        pairs = (state[..., :half] + 1j * state[..., half:]) * turn
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    def _feed_forward(self, layer: int, state: Array) -> Array:
        name = f"blk.{layer}.ffn_"
        gate = self._linear(state, name + "gate")
        opened = gate / (1 + np.exp(-gate)) * self._linear(state, name + "up")
        return self._linear(opened, name + "down")
