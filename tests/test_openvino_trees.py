"""Hidden states on OpenVINO: the right numbers, whatever the order and company of a token."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from ponder.backends.local_model import LocalModel, find_model
from ponder.backends.models import silent
from ponder.backends.openvino_trees import ROOM, OpenVinoTrees, TreeKeys, engine_version
from ponder.backends.prefix_tree import Outputs, PrefixTree
from ponder.errors import EngineError, UsageError
from tests.gguf_reference import Reference
from tests.tiny_gguf import LAYERS, WIDTH, write_tiny

pytestmark = pytest.mark.engine

Tiny = Callable[[str], tuple[LocalModel, "States"]]


class States(Reference):
    """The reference's states after each layer, the last one's normalised."""

    def after(self, ids: Sequence[int]) -> list[NDArray[Any]]:
        state = self._weights["token_embd.weight"][list(ids)]
        found = []
        for layer in range(self._layers):
            state = state + self._attention(layer, self._normed(state, f"blk.{layer}.attn_norm"))
            state = state + self._feed_forward(layer, self._normed(state, f"blk.{layer}.ffn_norm"))
            found.append(state)
        return [*found[:-1], self._normed(state, "output_norm")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A tiny model of an architecture, and its reference."""
    folder = tmp_path_factory.mktemp("tiny")

    def made(architecture: str) -> tuple[LocalModel, States]:
        file = write_tiny(folder / f"{architecture}.gguf", "F16", architecture)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PONDER_CACHE", str(folder / "cache"))
            return find_model(file, silent), States(file)

    return made


@pytest.fixture(scope="module")
def tiny_trees(tiny: Tiny) -> OpenVinoTrees:
    return OpenVinoTrees(tiny("llama")[0], (1, -1))


@pytest.fixture(scope="module")
def default_trees() -> OpenVinoTrees:
    return OpenVinoTrees(find_model(None, silent))


def distance(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The greatest distance of a row, relative to its length."""
    lengths = np.linalg.norm(wanted, axis=1)
    return float((np.linalg.norm(found - wanted, axis=1) / lengths).max())


def grown(trees: OpenVinoTrees, *rounds: Sequence[Sequence[int]]) -> list[Outputs]:
    """The states of the last round's sequences, after a call for each round in one tree."""
    tree, state, computed = PrefixTree(), trees.new_state(), []
    for sequences in rounds:
        for sequence in sequences:
            tree.add(sequence)
        growth = tree.growth()
        [states] = trees.extend([(state, growth)])
        assert states.shape == (len(growth.token_ids), trees.width)
        computed.append(states)
    whole = np.concatenate(computed)
    assert len(whole) == len(tree)
    return [whole[tree.add(sequence)] for sequence in rounds[-1]]


def alone(trees: OpenVinoTrees, sequence: Sequence[int]) -> Outputs:
    return grown(trees, [sequence])[0]


def random_branches(seed: int, vocabulary: int, steps: tuple[int, ...]) -> list[list[list[int]]]:
    """Rounds of sequences, each but the first continuing one of the round before."""
    rng = random.Random(seed)

    def drawn(count: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(count)]

    rounds = [[drawn(rng.randint(1, 12))]]
    for longest in steps:
        parents = [rng.choice(rounds[-1]) for _ in range(4)]
        rounds.append([[*parent, *drawn(rng.randint(1, longest))] for parent in parents])
    return rounds


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_each_layer_gives_the_states_of_an_independent_computation(
    architecture: str, tiny: Tiny
) -> None:
    model, reference = tiny(architecture)
    trees = OpenVinoTrees(model, (2, 1))
    assert (trees.layers, trees.width, trees.longest) == ((2, 1), 2 * WIDTH, 256)
    ids = [7, 99, 3, 120, 45, 45, 200, 8, 31, 250]
    first, second = reference.after(ids)
    found = alone(trees, ids)
    assert found.dtype == np.float32
    # The library keeps the weights of norms in half precision.
    assert distance(found[:, :WIDTH], second) < 3e-3
    assert distance(found[:, WIDTH:], first) < 3e-3


@pytest.mark.parametrize("seed", range(8))
def test_branches_of_a_tree_equal_each_branch_alone(seed: int, tiny_trees: OpenVinoTrees) -> None:
    rounds = random_branches(seed, 256, (6, 1, 9, 1, 4))
    for found, sequence in zip(grown(tiny_trees, *rounds), rounds[-1], strict=True):
        assert distance(found, alone(tiny_trees, sequence)) < 1e-4


def test_a_lone_new_token_sees_its_own_path_only(tiny_trees: OpenVinoTrees) -> None:
    long = list(range(20, 60))
    branch = [*long[:10], 200]
    [found] = grown(tiny_trees, [long], [branch])
    assert distance(found, alone(tiny_trees, branch)) < 1e-4
    unmasked = alone(tiny_trees, [*long, 200])
    assert distance(found[-1:], unmasked[-1:]) > 1e-2


def test_several_trees_keep_apart(tiny_trees: OpenVinoTrees) -> None:
    first, second = [5, 6, 7, 8], [9, 6, 7]
    growths = []
    for sequence in (first, second):
        tree = PrefixTree()
        tree.add(sequence)
        growths.append((tiny_trees.new_state(), tree.growth()))
    found = tiny_trees.extend(growths)
    assert distance(found[0], alone(tiny_trees, first)) < 1e-4
    assert distance(found[1], alone(tiny_trees, second)) < 1e-4


def test_step_by_step_equals_at_once_on_the_default_model(default_trees: OpenVinoTrees) -> None:
    rounds = random_branches(1, 49_000, (24, 1, 30))
    assert default_trees.width == 576
    assert default_trees.longest == 8192
    for found, sequence in zip(grown(default_trees, *rounds), rounds[-1], strict=True):
        assert distance(found, alone(default_trees, sequence)) < 1e-3


def test_layers_above_those_asked_for_are_not_computed(tiny: Tiny) -> None:
    model, _ = tiny("llama")
    low, high = OpenVinoTrees(model, (1,)), OpenVinoTrees(model, (-1,))
    assert low.layers == (1,)
    assert high.layers == (LAYERS,)
    assert 2 * low.bytes_a_token == high.bytes_a_token
    assert low.width == high.width == WIDTH


@pytest.mark.parametrize("layer", [0, LAYERS + 1, -LAYERS - 1])
def test_a_layer_that_is_not_there_is_named(layer: int, tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=rf"layers 1 to {LAYERS} .* got {layer}"):
        OpenVinoTrees(tiny("llama")[0], (layer,))


def test_a_graph_that_is_no_language_model_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    from openvino import opset13 as ops

    numbers = ops.parameter([1, 4], openvino.Type.f32)
    doubled = ops.matmul(numbers, ops.constant(np.eye(4, dtype=np.float32)), False, False)
    model = openvino.Model([ops.result(doubled)], [numbers], "other")
    openvino.save_model(model, tmp_path / "openvino_model.xml")
    with pytest.raises(EngineError, match="no attention"):
        OpenVinoTrees(tiny("llama")[0]._replace(path=tmp_path))


def test_layers_that_attend_by_masks_of_their_own_are_refused(tmp_path: Path, tiny: Tiny) -> None:
    from openvino import opset13 as ops

    model, _ = tiny("llama")
    whole = openvino.Core().read_model(model.path / "openvino_model.xml")
    found = (op for op in whole.get_ordered_ops() if "DotProductAttention" in op.get_type_name())
    window = next(found).input(3)
    window.replace_source_output(ops.relu(window.get_source_output()).output(0))
    openvino.save_model(whole, tmp_path / "openvino_model.xml")
    with pytest.raises(EngineError, match="2 different masks"):
        OpenVinoTrees(model._replace(path=tmp_path))


def test_keys_and_values_stay_and_their_room_stays_near_what_they_need() -> None:
    """Two states of unlike shapes, grown by random numbers of slots."""
    rng = np.random.default_rng(0)
    told = [rng.random((2, 500, 3), dtype=np.float32), rng.random((1, 500, 4), dtype=np.float32)]
    keys, first, grown = TreeKeys(), 0, 0
    while first < 500:
        end = min(first + int(rng.integers(1, 40)), 500)
        keys.keep(first, [own[:, first:end] for own in told])
        slots = rng.permutation(end)[: end // 2 + 1]
        for held, own in zip(keys.of(slots), told, strict=True):
            np.testing.assert_array_equal(held, own[None, :, slots])
        rooms = {kept.shape[1] for kept in keys._kept}
        assert len(rooms) == 1
        assert end <= max(rooms) <= max(ROOM * end, grown)
        grown, first = max(rooms), end


def test_no_thread_is_bound_to_a_processor(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    compile_model = openvino.Core.compile_model

    def watched(*given: Any, **named: Any) -> Any:
        compiled.append(compile_model(*given, **named))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", watched)
    OpenVinoTrees(tiny("llama")[0], (1,), threads=1)
    [model] = compiled
    assert model.get_property("ENABLE_CPU_PINNING") is False
    assert model.get_property("INFERENCE_NUM_THREADS") == 1


def test_the_engine_says_its_release() -> None:
    assert engine_version().startswith("openvino 20")
