from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ponder.backends import torch_pass, tree_passes
from ponder.backends.prefix_tree import PrefixTree
from ponder.backends.torch_pass import TreeState
from ponder.backends.torch_readouts import Classes, LabelLogits
from ponder.backends.torch_trees import TorchTrees
from ponder.backends.tree_reader import TreeReader
from ponder.types import Problem
from tests.torch_models import (
    CONFIGS,
    Measured,
    alone,
    built,
    config_of,
    probabilities,
    read,
    rounds_of,
    tiny,
    torch,
    tree_outputs,
)
from tests.tree_models import beam_rounds, distinct_tokens

Scores = NDArray[np.float64]


@pytest.mark.parametrize("name", CONFIGS)
async def test_a_tree_gives_what_each_sequence_gives_alone(name: str) -> None:
    model, labels, rounds = built(config_of(name)), (3, 9), rounds_of()
    wanted = alone(model, [ids for sequences in rounds for ids in sequences])
    found = await tree_outputs(model, LabelLogits(labels), rounds)
    for outputs, own in zip(found, wanted, strict=True):
        logits = own.logits[0][:, list(labels)]
        np.testing.assert_allclose(outputs, logits, atol=1e-4)
        np.testing.assert_allclose(probabilities(outputs), probabilities(logits), atol=1e-4)


def last_probabilities(model: Any, sequences: Sequence[Sequence[int]]) -> list[float]:
    """One plain forward pass of all; what is filled in stands behind all that is read."""
    longest = max(map(len, sequences))
    with torch.no_grad():
        logits = model(torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences]))
    ends = [len(ids) - 1 for ids in sequences]
    return [float(row) for row in probabilities(logits.logits[range(len(ends)), ends])]


def of_precision(dtype: Any) -> Any:
    return built(config_of("Llama", num_hidden_layers=2), "TokenClassification", dtype)


def plain_ends(searches: Sequence[Sequence[Sequence[Sequence[int]]]], dtype: Any) -> Scores:
    """Of a plain forward pass in this precision: [rankings, candidates]."""
    model = of_precision(dtype)
    return np.array([last_probabilities(model, asked) for one in searches for asked in one])


def in_order(one: Scores, other: Scores) -> NDArray[np.bool_]:
    """Which pairs of candidates neither ranking turns round: [rankings, candidates, candidates]."""
    orders = [np.sign(scores[:, :, None] - scores[:, None, :]) for scores in (one, other)]
    kept: NDArray[np.bool_] = orders[0] * orders[1] >= 0
    return kept


@pytest.mark.parametrize("problems", [2, pytest.param(25, marks=pytest.mark.long)])
async def test_half_precision_ranks_as_plain_half_precision_does(problems: int) -> None:
    """Scores stay within 0.02, and whole rankings are the same, ties within rounding left open.

    Candidates are tied that lie closer together than plain half precision is off from float32:
    transformers' own attention implementations swap those just as often.
    """
    searches = [list(beam_rounds(seed, 6)) for seed in range(problems)]
    exact, plain = (plain_ends(searches, dtype) for dtype in (torch.float32, torch.bfloat16))
    trees = TorchTrees(of_precision(torch.bfloat16), Classes())
    reader = TreeReader(trees, tokens_a_pass=1024, cache_tokens=10**6)
    ends = [probabilities(outputs[-1]) for one in searches for outputs in await read(reader, one)]
    await reader.aclose()
    found = np.reshape([float(end) for end in ends], plain.shape)
    assert np.std(plain) > 0.02, "candidates differ by more than rounding does"
    np.testing.assert_allclose(found, plain, atol=0.02)
    kept, rounding = in_order(plain, found), np.max(np.abs(plain - exact))
    tied = np.abs(exact[:, :, None] - exact[:, None, :]) <= rounding
    assert np.mean(tied) < 0.1, "little but a candidate and itself is tied"
    assert np.mean((kept | tied).all((1, 2))) >= 0.99
    assert np.mean(kept) >= 0.99


@pytest.mark.parametrize("depth", [10, 20])
async def test_the_first_layer_sees_each_distinct_token_once(depth: int) -> None:
    """16 beam searches at once, 16 candidates of width 4 a depth."""
    trees = Measured(tiny(), Classes())
    reader = TreeReader(trees, tokens_a_pass=1024, cache_tokens=10**6)
    problems = [Problem.ask(f"problem {seed}") for seed in range(16)]

    async def search(seed: int) -> int:
        asked: list[list[int]] = []
        for sequences in beam_rounds(seed, depth):
            await reader.read(problems[seed], sequences)
            asked += sequences
        return distinct_tokens(asked)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(search(seed)) for seed in range(16)]
    await reader.aclose()
    distinct = sum(task.result() for task in tasks)
    assert distinct == reader.counts.distinct
    assert trees.positions == reader.counts.computed
    assert trees.positions / distinct <= 1.1
    assert trees.peak_bytes <= distinct * trees.bytes_a_token


async def test_a_cache_below_the_tree_keeps_scores_right_and_tells_its_ratio() -> None:
    model, rounds = built(config_of("Qwen2"), "TokenClassification"), rounds_of(depth=5)
    sequences = [ids for asked in rounds for ids in asked]
    wanted = [own.logits[0] for own in alone(model, sequences)]
    trees = Measured(model, Classes())
    distinct = distinct_tokens(sequences)
    reader = TreeReader(trees, tokens_a_pass=64, cache_tokens=distinct // 2)
    for outputs, logits in zip(await read(reader, rounds), wanted, strict=True):
        np.testing.assert_allclose(outputs, logits, atol=1e-4)
    await reader.aclose()
    assert reader.counts.distinct == distinct
    assert reader.counts.ratio == trees.positions / distinct > 1
    assert reader.counts.peak_cache_tokens <= distinct // 2


async def test_small_bounds_of_memory_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few queries, and bites of few tokens, as large trees need them."""
    model, rounds = built(config_of("Mistral with a window"), "TokenClassification"), rounds_of()
    wanted = alone(model, [ids for sequences in rounds for ids in sequences])
    monkeypatch.setattr(torch_pass, "ROWS", 7)
    monkeypatch.setattr(torch_pass, "SCORES", 400)
    monkeypatch.setattr(tree_passes, "MASK_CELLS", 3000)
    for outputs, own in zip(await tree_outputs(model, Classes(), rounds), wanted, strict=True):
        np.testing.assert_allclose(outputs, own.logits[0], atol=1e-4)


def test_no_block_has_more_scores_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_pass, "SCORES", 5000)
    monkeypatch.setattr(torch_pass, "ROWS", 32)
    tree = PrefixTree()
    for sequence in next(beam_rounds(0, 1)):
        tree.add(sequence)
    growth = tree.growth()
    made = torch_pass.TreePass([(TreeState(), growth)])
    blocks = made.blocks(torch.zeros(4, len(tree), 8), None)
    assert sum(len(block.mask) for block in blocks) == len(tree)
    assert max(4 * block.mask.numel() for block in blocks) <= 5000
    assert sum(block.mask.numel() for block in blocks) < growth.sees.size / 2, "most is not seen"


def test_keys_and_values_have_little_room_to_spare() -> None:
    state, keys = TreeState(), torch.zeros(2, 1, 4)
    for slot in range(500):
        state.put(0, slot, keys + slot, keys - slot)
        assert state.bytes <= 1.25 * (slot + 1) * state.bytes_a_slot
    held, values = state.put(0, 500, keys, keys)
    assert held[0, :, 0].tolist() == [*range(500), 0]
    assert values[1, :, 3].tolist() == [*range(0, -500, -1), 0]


async def test_running_out_of_memory_makes_passes_smaller() -> None:
    model, rounds = built(config_of("Llama"), "TokenClassification"), rounds_of()
    wanted = alone(model, [ids for sequences in rounds for ids in sequences])

    def full(module: Any, given: Any, hidden: Any) -> None:
        if hidden.shape[1] > 32:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    trees = TorchTrees(model, Classes())
    model.base_model.layers[1].register_forward_hook(full)
    reader = TreeReader(trees, tokens_a_pass=100, cache_tokens=10**6)
    for outputs, own in zip(await read(reader, rounds), wanted, strict=True):
        np.testing.assert_allclose(outputs, own.logits[0], atol=1e-4)
    await reader.aclose()
    assert reader.counts.halved == 2


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", MemoryError),
        ("DefaultCPUAllocator: not enough memory: you tried to allocate 1 TB", MemoryError),
        ("the sizes do not match", RuntimeError),
    ],
)
def test_memory_that_is_out_on_the_processor(told: str, expected: type[Exception]) -> None:
    model = tiny()
    trees, tree = TorchTrees(model, Classes()), PrefixTree()

    def fail(module: Any, given: Any, hidden: Any) -> None:
        raise RuntimeError(told)

    model.base_model.layers[1].register_forward_hook(fail)
    tree.add([1, 2])
    with pytest.raises(expected, match=r"allocate|sizes") as raised:
        trees.extend([(trees.new_state(), tree.growth())])
    assert type(raised.value) is expected
