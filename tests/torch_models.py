"""Small transformers models with random weights, alone and in trees of prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ponder.backends.prefix_tree import Outputs
from ponder.backends.torch_pass import TreeState
from ponder.backends.torch_readouts import Readout
from ponder.backends.torch_trees import TorchTrees
from ponder.backends.tree_reader import TreeReader
from ponder.types import Problem
from tests.tree_models import beam_rounds

torch = pytest.importorskip("torch", reason="the extra `verifiers` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "num_labels": 2,
}
WINDOW = 17
"""Positions: less than a step, so that whole steps fall out of sight."""
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": None},
    "Mistral with a window": {"sliding_window": WINDOW},
    "Mixtral": {"num_local_experts": 4, "sliding_window": None},
    "Qwen2": {},
    "Qwen2 with a window": {
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
    },
    "Qwen3": {"head_dim": 16},
    "Gemma": {"head_dim": 16},
    "Gemma2": {
        "head_dim": 16,
        "sliding_window": WINDOW,
        "query_pre_attn_scalar": 16,
        "attn_logit_softcapping": 0.2,  # low, so that it bends the small scores of random weights
        "final_logit_softcapping": 0.5,
    },
}


def config_of(name: str, **changed: Any) -> Any:
    kind, sizes = getattr(transformers, f"{name.split()[0]}Config"), dict(SIZES)
    if name == "Bloom":
        del sizes["max_position_embeddings"]
    return kind(**{**sizes, **CONFIGS.get(name, {}), **changed})


def built(config: Any, kind: str = "CausalLM", dtype: Any = torch.float32) -> Any:
    """A model with random weights; the same ones for the same config."""
    torch.manual_seed(0)
    auto = getattr(transformers, f"AutoModelFor{kind}" if kind else "AutoModel")
    return auto.from_config(config, attn_implementation="eager", dtype=dtype).eval()


def alone(model: Any, sequences: Sequence[Sequence[int]]) -> list[Any]:
    """The model's own outputs for each sequence: a plain forward pass, without any cache."""
    with torch.no_grad():
        return [
            model(torch.tensor([ids]), use_cache=False, output_hidden_states=True)
            for ids in sequences
        ]


def probabilities(logits: Any) -> NDArray[np.float32]:
    """Of the second of two labels."""
    found: NDArray[np.float32] = torch.as_tensor(logits).float().softmax(-1)[..., 1].numpy()
    return found


async def read(reader: TreeReader, rounds: Sequence[Sequence[Sequence[int]]]) -> list[Outputs]:
    """What each sequence gives when the rounds are read one after the other."""
    problem, found = Problem.ask("a problem"), []
    for sequences in rounds:
        for outputs in await reader.read(problem, sequences):
            assert isinstance(outputs, np.ndarray)
            found.append(outputs)
    return found


async def tree_outputs(
    model: Any,
    readout: Readout,
    rounds: Sequence[Sequence[Sequence[int]]],
    tokens_a_pass: int = 100,
    cache_tokens: int = 10**6,
) -> list[Outputs]:
    reader = TreeReader(
        TorchTrees(model, readout), tokens_a_pass=tokens_a_pass, cache_tokens=cache_tokens
    )
    try:
        return await read(reader, rounds)
    finally:
        await reader.aclose()


def rounds_of(seed: int = 0, depth: int = 4, n: int = 6) -> list[list[list[int]]]:
    return list(beam_rounds(seed, depth, n=n, kept=2))


def tiny() -> Any:
    """Small enough for a hundred thousand tokens."""
    return built(config_of("Llama", num_hidden_layers=2, hidden_size=16), "TokenClassification")


async def answers(trees: TorchTrees, sequence: list[int]) -> Outputs:
    reader = TreeReader(trees, tokens_a_pass=100, cache_tokens=1000)
    outputs = (await reader.read(Problem.ask("x"), [sequence]))[0]
    await reader.aclose()
    assert isinstance(outputs, np.ndarray)
    return outputs


class Measured(TorchTrees):
    """Counts from outside: positions through the first layer, and the bytes of all live trees."""

    def __init__(self, model: Any, readout: Readout, folder: Path | None = None) -> None:
        self.positions, self.peak_bytes = 0, 0
        self._states: list[TreeState] = []
        super().__init__(model, readout, folder)
        self._states.clear()
        first, *others = model.base_model.layers
        first.register_forward_hook(self._count)
        for layer in (first, *others):
            layer.register_forward_hook(self._measure)

    def new_state(self) -> TreeState:
        self._states.append(super().new_state())
        return self._states[-1]

    def _count(self, module: Any, given: Any, hidden: Any) -> None:
        self.positions += hidden.shape[0] * hidden.shape[1]

    def _measure(self, module: Any, given: Any, hidden: Any) -> None:
        self.peak_bytes = max(self.peak_bytes, sum(state.bytes for state in self._states))
