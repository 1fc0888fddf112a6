from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.backends import torch_pass
from ponder.backends.torch_attention import tree_attention
from ponder.backends.torch_readouts import (
    Classes,
    HiddenStates,
    LabelLogits,
    LinearHead,
    Readout,
    read_tensors,
)
from ponder.backends.torch_trees import TorchTrees
from ponder.errors import MissingExtraError, UsageError, VerifierError
from tests.torch_models import (
    alone,
    answers,
    built,
    config_of,
    rounds_of,
    tiny,
    torch,
    tree_outputs,
)
from tests.tree_models import beam_rounds


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


@pytest.mark.parametrize(("layers", "kept"), [((0,), 1), ((1,), 2), ((2, 1), 3), ((-1, 1), 3)])
async def test_layers_above_all_that_is_read_are_not_computed(
    layers: tuple[int, ...], kept: int
) -> None:
    """One more than is read: the last one's states are there normed alone."""
    model = built(config_of("Qwen2"))
    trees = TorchTrees(model, HiddenStates(layers))
    assert len(model.model.layers) == kept
    whole = TorchTrees(built(config_of("Qwen2")), HiddenStates((-1,)))
    assert trees.bytes_a_token == whole.bytes_a_token * kept // 3


def saved(folder: Path, model: Any, **head: Any) -> Path:
    """A checkpoint with a head that its class does not know."""
    from safetensors.torch import load_file, save_file

    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file({**load_file(file), **head}, file, metadata={"format": "pt"})
    return folder


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
    assert exact.bytes_a_token == 2 * rough.bytes_a_token == torch_pass.GROWING * 3 * 2 * 2 * 16 * 4


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


def test_damaged_weights_are_told_in_one_line(tmp_path: Path) -> None:
    built(config_of("Qwen2"), "TokenClassification").save_pretrained(tmp_path)
    weights, index = tmp_path / "model.safetensors", tmp_path / "model.safetensors.index.json"
    weights.write_bytes(weights.read_bytes()[:-99])
    with pytest.raises(VerifierError, match=r"cannot be loaded: [^\n]+$"):
        TorchTrees.open(tmp_path, Classes())
    with pytest.raises(VerifierError, match=r"model.safetensors cannot be read: [^\n]+$"):
        read_tensors(tmp_path, ["score.weight"])
    weights.unlink()
    with pytest.raises(VerifierError, match=r"model.safetensors cannot be read: No such file"):
        read_tensors(tmp_path, ["score.weight"])
    for damaged in ("{", "{}", "[]"):
        index.write_text(damaged)
        with pytest.raises(VerifierError, match=r"index.json cannot be read: [^\n]+$"):
            read_tensors(tmp_path, ["score.weight"])


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


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"attention_mask": torch.zeros(1, 1, 2, 2)}, "a mask of its own"),
        ({"is_causal": False}, "tokens that see what follows them"),
        ({"dropout": 0.1}, "dropout"),
        ({"position_bias": torch.zeros(1)}, "position_bias"),
        ({"tree_pass": None}, "attention without the pass handed on"),
    ],
)
def test_a_layer_that_asks_for_more_than_is_honoured(asked: dict[str, Any], match: str) -> None:
    layer = built(config_of("Llama"), "").layers[0].self_attn
    new = torch.zeros(1, 4, 2, 16)
    given = {"attention_mask": None, "tree_pass": torch_pass.TreePass([]), **asked}
    with pytest.raises(VerifierError, match=f"LlamaAttention asks for {match}: not supported"):
        tree_attention(layer, new, new, new, **given)


def test_a_window_in_the_config_that_the_layer_does_not_tell() -> None:
    layer = built(config_of("Qwen2 with a window"), "").layers[2].self_attn
    new = torch.zeros(1, 4, 2, 16)
    with pytest.raises(VerifierError, match="a sliding window that it does not tell"):
        tree_attention(layer, new, new, new, None, tree_pass=torch_pass.TreePass([]))


def test_a_model_that_takes_no_positions_cannot_be_computed() -> None:
    model = built(config_of("Llama"), "")
    forward = model.forward

    def strict(input_ids: Any, use_cache: bool) -> Any:
        return forward(input_ids, use_cache=use_cache)

    model.forward = strict
    with pytest.raises(VerifierError, match="LlamaModel cannot be computed in a tree"):
        TorchTrees(model, HiddenStates())


@pytest.mark.parametrize("module", ["torch", "transformers"])
def test_a_missing_extra_is_named(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[verifiers\]'"):
        TorchTrees.open(tmp_path, Classes())


def test_missing_safetensors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[verifiers\]'"):
        read_tensors(tmp_path, ["score.weight"])
