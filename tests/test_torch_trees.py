from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ponder.backends import torch_pass, tree_passes
from ponder.backends.prefix_tree import Outputs, PrefixTree
from ponder.backends.torch_pass import TreeState
from ponder.backends.torch_readouts import Classes, HiddenStates, LabelLogits, LinearHead, Readout
from ponder.backends.torch_trees import TorchTrees
from ponder.backends.tree_reader import TreeReader
from ponder.errors import UsageError, VerifierError
from ponder.types import Problem
from tests.tree_models import beam_rounds, distinct_tokens

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


async def test_half_precision_ranks_as_plain_half_precision_does() -> None:
    """Two candidates of a depth keep their order, and scores stay within 0.02.

    All sixteen in one order cannot be asked for: rounding swaps neighbours between transformers'
    own attention implementations just as often.
    """
    config = config_of("Llama", num_hidden_layers=2)
    model = built(config, "TokenClassification", torch.bfloat16)
    searches = [list(beam_rounds(seed, 6)) for seed in range(2)]
    plain = np.array([last_probabilities(model, asked) for one in searches for asked in one])
    reader = TreeReader(TorchTrees(model, Classes()), tokens_a_pass=1024, cache_tokens=10**6)
    ends = [probabilities(outputs[-1]) for one in searches for outputs in await read(reader, one)]
    await reader.aclose()
    found = np.array(ends).reshape(plain.shape)
    assert np.std(plain) > 0.02, "candidates differ by more than rounding does"
    np.testing.assert_allclose(found, plain, atol=0.02)
    orders = [np.sign(scores[:, :, None] - scores[:, None, :]) for scores in (plain, found)]
    assert np.mean(orders[0] * orders[1] >= 0) >= 0.99


class Measured(TorchTrees):
    """Counts from outside: positions through the first layer, and the bytes of all live trees."""

    def __init__(self, model: Any, readout: Readout) -> None:
        self.positions, self.peak_bytes = 0, 0
        self._states: list[TreeState] = []
        super().__init__(model, readout)
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


def tiny() -> Any:
    """Small enough for a hundred thousand tokens."""
    return built(config_of("Llama", num_hidden_layers=2, hidden_size=16), "TokenClassification")


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
    assert trees.peak_bytes <= 1.5 * distinct * trees.bytes_a_token


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


@pytest.mark.parametrize("kind", ["TokenClassification", "SequenceClassification"])
async def test_classes_are_read_at_every_token(kind: str) -> None:
    model, rounds = built(config_of("Qwen2", num_labels=3), kind), rounds_of(depth=2)
    sequences = [ids for asked in rounds for ids in asked]
    wanted = alone(model, sequences)
    for outputs, own in zip(await tree_outputs(model, Classes(), rounds), wanted, strict=True):
        assert outputs.shape[1] == 3
        np.testing.assert_allclose(outputs[-1], own.logits.reshape(-1, 3)[-1], atol=1e-4)


@pytest.mark.parametrize("layers", [(0,), (2,), (3,), (-1,), (1, 3, -2)])
async def test_hidden_states_are_those_of_transformers(layers: tuple[int, ...]) -> None:
    model, rounds = built(config_of("Qwen2")), rounds_of(depth=2)
    wanted = alone(model, [ids for asked in rounds for ids in asked])
    readout = HiddenStates(layers)
    for outputs, own in zip(await tree_outputs(model, readout, rounds), wanted, strict=True):
        states = torch.cat([own.hidden_states[layer][0] for layer in layers], dim=-1)
        np.testing.assert_allclose(outputs, states, atol=1e-4)


def saved(folder: Path, model: Any, **head: Any) -> Path:
    """A checkpoint with a head that its class does not know."""
    from safetensors.torch import load_file, save_file

    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file({**load_file(file), **head}, file, metadata={"format": "pt"})
    return folder


async def answers(trees: TorchTrees, sequence: list[int]) -> Outputs:
    reader = TreeReader(trees, tokens_a_pass=100, cache_tokens=1000)
    outputs = (await reader.read(Problem.ask("x"), [sequence]))[0]
    await reader.aclose()
    assert isinstance(outputs, np.ndarray)
    return outputs


async def test_a_head_is_found_by_its_name(tmp_path: Path) -> None:
    model, sequence = built(config_of("Qwen2")), next(beam_rounds(1, 1))[0]
    weight, bias = torch.randn(1, 64), torch.randn(1)
    folder = saved(
        tmp_path, model, **{"v_head.summary.weight": weight, "v_head.summary.bias": bias}
    )
    outputs = await answers(TorchTrees.open(folder, LinearHead(("v_head.summary",))), sequence)
    states = alone(model, [sequence])[0].hidden_states[-1][0]
    np.testing.assert_allclose(outputs, states @ weight.T + bias, atol=1e-4)


async def test_layers_of_a_head_have_a_relu_between(tmp_path: Path) -> None:
    model, sequence = built(config_of("Qwen2")), next(beam_rounds(1, 1))[0]
    torch.manual_seed(1)
    first, second = torch.nn.Linear(64, 64), torch.nn.Linear(64, 2)
    head = torch.nn.Sequential(first, torch.nn.ReLU(), second).requires_grad_(False)
    names = {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    folder = saved(tmp_path, model, **names)
    outputs = await answers(TorchTrees.open(folder, LinearHead(("score.0", "score.2"))), sequence)
    states = alone(model, [sequence])[0].hidden_states[-1][0]
    np.testing.assert_allclose(outputs, head(states), atol=1e-4)


async def test_heads_in_split_checkpoints(tmp_path: Path) -> None:
    model, sequence = built(config_of("Qwen2"), "TokenClassification"), [5, 6, 7]
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    outputs = await answers(TorchTrees.open(tmp_path, LinearHead(("score",))), sequence)
    np.testing.assert_allclose(outputs, alone(model, [sequence])[0].logits[0], atol=1e-4)


async def test_open_reads_a_folder_in_the_precision_asked_for(tmp_path: Path) -> None:
    model, sequence = built(config_of("Llama"), "TokenClassification"), next(beam_rounds(1, 1))[0]
    model.save_pretrained(tmp_path)
    own = alone(model, [sequence])[0].logits[0]
    exact = TorchTrees.open(tmp_path, Classes(), device="cpu")
    rough = TorchTrees.open(tmp_path, Classes(), device="cpu", dtype="bfloat16")
    np.testing.assert_allclose(await answers(exact, sequence), own, atol=1e-4)
    off = np.abs(await answers(rough, sequence) - own.numpy()).max()
    assert 1e-4 < off < 0.05
    assert exact.bytes_a_token == 2 * rough.bytes_a_token == 3 * 2 * 2 * 16 * 4


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    built(config_of("Llama"), "").save_pretrained(tmp_path)
    with pytest.raises(VerifierError, match="lacks weights that its scores need: lm_head"):
        TorchTrees.open(tmp_path, LabelLogits((1,)))
    with pytest.raises(VerifierError, match=r"is LlamaModel, not a classifier"):
        TorchTrees.open(tmp_path, Classes())
    with pytest.raises(VerifierError, match=r"no weight v_head\.weight"):
        TorchTrees.open(tmp_path, LinearHead(("v_head",)))


def test_what_cannot_be_opened_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match=r"cannot be loaded: [^\n]+$"):
        TorchTrees.open(tmp_path, Classes())
    with pytest.raises(UsageError, match=r"`dtype` must be one of .*, got 'int8'"):
        TorchTrees.open(tmp_path, Classes(), dtype="int8")


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "chunked_attention": ("Llama4Text", {"head_dim": 16, "num_local_experts": 2}),
    "s_aux": ("GptOss", {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "logit_scale": ("Cohere", {"logit_scale": 0.5}),
    "dynamic": (
        "Llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
    ),
    "max_position_embeddings": ("Bloom", {"n_layer": 2, "n_head": 4}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_honoured_is_refused_by_name(name: str) -> None:
    kind, asked = REFUSED[name]
    with pytest.raises(VerifierError, match=name):
        TorchTrees(built(config_of(kind, **asked)), LabelLogits((1, 2)))


def test_a_model_that_computes_something_else_in_a_tree_is_refused() -> None:
    """As one would whose attention depends on more than is told, such as the place in the row."""
    model = built(config_of("Llama"), "")

    def lean(module: Any, given: Any, hidden: Any) -> Any:
        return hidden + torch.arange(hidden.shape[1])[None, :, None]

    model.layers[0].register_forward_hook(lean)
    with pytest.raises(VerifierError, match="LlamaModel computes something else in a tree"):
        TorchTrees(model, HiddenStates())


@pytest.mark.parametrize("token_id", [300, -1])
async def test_a_token_that_the_model_lacks_is_named(token_id: int) -> None:
    with pytest.raises(VerifierError, match=f"no token {token_id}: the model has 300"):
        await answers(TorchTrees(tiny(), Classes()), [1, token_id])


@pytest.mark.parametrize(
    ("readout", "match"),
    [
        (LabelLogits((300,)), "no token 300"),
        (HiddenStates((4,)), "no layer 4: the model has 0 to 3"),
        (HiddenStates((-5,)), "no layer -5"),
        (LinearHead(("v_head",)), "folder of the checkpoint"),
        (Classes(), "neither `score` nor `classifier`"),
    ],
)
def test_readouts_that_a_model_lacks_are_refused(readout: Readout, match: str) -> None:
    with pytest.raises(VerifierError, match=match):
        TorchTrees(built(config_of("Llama")), readout)


@pytest.mark.parametrize("make", [LabelLogits, LinearHead, HiddenStates])
def test_readouts_read_something(make: Any) -> None:
    with pytest.raises(UsageError, match="must name at least one"):
        make(())
