"""How much faster a search's sequences are read in trees than each one anew.

    python -m tests.tree_benchmark --hidden 256 --layers 4 --n 16 --depth 10

The model is a Llama of the given shape with random weights.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ponder.backends.torch_readouts import Classes
from ponder.backends.torch_trees import TorchTrees
from ponder.backends.tree_reader import TreeReader
from ponder.types import Problem
from tests.tree_models import beam_rounds

Rounds = Sequence[Sequence[Sequence[int]]]


class Speeds(NamedTuple):
    """Seconds for all rounds of a search, and what was computed in them."""

    trees: float
    anew: float
    computed: int
    """Positions in trees."""
    positions: int
    """Tokens of all sequences, as reading each one anew computes them, pads not counted."""
    computed_over_distinct: float


def random_classifier(hidden: int, layers: int, device: str, dtype: str) -> Any:
    """A token classification model of Llama's architecture; grouped heads of width 64 or 128."""
    import torch
    import transformers

    torch.manual_seed(0)
    heads = max(hidden // (128 if hidden > 2048 else 64), 1)
    shape: dict[str, Any] = {
        "vocab_size": 1000,
        "hidden_size": hidden,
        "intermediate_size": hidden * 7 // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(heads // 4, 1),
        "max_position_embeddings": 8192,
        "pad_token_id": 0,
        "num_labels": 2,
    }
    load: Any = transformers.AutoModelForTokenClassification
    with torch.device(device):
        model = load.from_config(transformers.LlamaConfig(**shape), dtype=getattr(torch, dtype))
    return model.eval()


def seconds_anew(model: Any, rounds: Rounds, batch: int) -> float:
    """Every round by plain forward passes of whole sequences, filled up at their ends."""
    import torch

    model.set_attn_implementation("sdpa")
    started = time.perf_counter()
    for sequences in rounds:
        for first in range(0, len(sequences), batch):
            part = sequences[first : first + batch]
            longest = max(map(len, part))
            ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in part])
            with torch.inference_mode():
                model(ids.to(model.device), use_cache=False).logits.float().cpu()
    return time.perf_counter() - started


async def compare(model: Any, rounds: Rounds, tokens_a_pass: int, batch: int) -> Speeds:
    """Read the rounds in trees and anew; the first round of each is repeated to warm up."""
    seconds_anew(model, rounds[:1], batch)
    anew = seconds_anew(model, rounds, batch)
    trees = TorchTrees(model, Classes())
    reader = TreeReader(trees, tokens_a_pass=tokens_a_pass, cache_tokens=10**7)
    await reader.read(Problem.ask("to warm up"), rounds[0])
    before, problem, started = reader.counts, Problem.ask("a problem"), time.perf_counter()
    for sequences in rounds:
        await reader.read(problem, sequences)
    seconds, after = time.perf_counter() - started, reader.counts
    await reader.aclose()
    tokens = sum(len(ids) for sequences in rounds for ids in sequences)
    return Speeds(seconds, anew, after.computed - before.computed, tokens, after.ratio)


def main() -> None:
    """Print the speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("hidden", 256), ("layers", 4), ("n", 16), ("depth", 10), ("step", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--tokens-a-pass", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    chosen = parser.parse_args()
    model = random_classifier(chosen.hidden, chosen.layers, chosen.device, chosen.dtype)
    rounds = list(beam_rounds(0, chosen.depth, n=chosen.n, step=chosen.step))
    speeds = asyncio.run(compare(model, rounds, chosen.tokens_a_pass, chosen.batch))
    print(speeds)
    print(f"in trees {speeds.anew / speeds.trees:.1f} times as fast as anew")


if __name__ == "__main__":
    main()
