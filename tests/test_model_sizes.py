"""What models' files say of their size, and that a run's operations are counted by it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponder.backends.local_model import find_model
from ponder.backends.model_shape import UNKNOWN, ModelShape, shape_of
from ponder.backends.models import silent
from ponder.evals.costs import Costing
from ponder.evals.model_sizes import told_sizes
from ponder.recipes import Recipe, Study, registry
from ponder.recipes.costing import ModelSize
from ponder.store.reading import RunReader
from ponder.types import Prefix, Problem, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.test_checkpoint import weights
from tests.test_cli import PLAY, data, ponder  # noqa: F401  a fixture among them
from tests.tiny_gguf import HEADS, LAYERS, WIDTH, write_tiny


def checkpoint(folder: Path, config: dict[str, Any], **tensors: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weights(folder / "model.safetensors", **tensors)
    return folder


def test_a_checkpoint_tells_weights_layers_and_width(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 60}
    plain = checkpoint(tmp_path / "plain", config, a=("BF16", [60, 10]), b=("F32", [60]))
    assert shape_of(plain) == ModelShape(660, 3, 60)
    wide = checkpoint(tmp_path / "wide", {"text_config": {**config, "head_dim": 32}})
    assert shape_of(wide) == ModelShape(None, 3, 128)
    assert shape_of(tmp_path / "none") == shape_of("owner/never-fetched") == UNKNOWN


def test_of_experts_only_those_that_a_token_goes_through_count(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 1, "num_experts": 8, "num_experts_per_tok": 2}
    tensors = {f"mlp.experts.{i}.up": ("F16", [10]) for i in range(8)}
    shared = {"mlp.shared_expert.up": ("F16", [5]), "attention": ("F16", [7])}
    assert shape_of(checkpoint(tmp_path, config, **tensors, **shared)).parameters == 20 + 5 + 7


@pytest.mark.parametrize("head", [16, 32])
def test_a_file_and_the_graph_made_of_it_tell_the_same(
    head: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_tiny(tmp_path / "tiny.gguf", "Q8_0", head=head)
    found = shape_of(file)
    assert (found.layers, found.width) == (LAYERS, HEADS * head)
    assert found.parameters is not None
    assert found.parameters > 2 * WIDTH * 300
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    folder = find_model(file, silent).path
    assert shape_of(folder) == found
    assert find_model(folder, silent).parameters == found.parameters


def test_engine_and_verifier_tell_their_sizes(tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "tiny.gguf")
    head = ValueHeadVerifier(model=file)
    own = shape_of(file)._asdict()
    here = Study(engine="embedded", model=str(file))
    assert told_sizes(here, [head]) == {"size": own, "verifier_size": own}
    assert told_sizes(Study(engine="openai", model=str(file)), []) == {}


def test_each_number_that_is_given_goes_before_that_of_the_weights() -> None:
    provenance = {
        "engine": {"parameters": 1},
        "size": {"parameters": 5, "layers": 2, "width": None},
        "verifier_size": {"parameters": 7, "layers": 3, "width": 4},
    }
    given = {"size": {"parameters": None, "layers": None, "width": 8}}
    costing = Costing.of({**given, "verifier_size": {"parameters": 9}}, {}, provenance, {})
    assert costing.size == ModelSize(parameters=5, layers=2, width=8)
    assert costing.verifier_size == ModelSize(parameters=9, layers=3, width=4)


def test_another_model_drops_the_size_that_a_recipe_gives() -> None:
    recipe = Recipe().with_key("model", "small").with_key("size.parameters", 5)
    recipe = recipe.with_key("verifier", "random").with_key("verifier_size.parameters", 6)
    assert recipe.with_key("model", "small").study.size == ModelSize(parameters=5)
    large = recipe.with_key("model", "large").study
    assert (large.size, large.verifier_size) == (ModelSize(), ModelSize(parameters=6))
    assert recipe.with_key("verifier", "confidence").study.verifier_size == ModelSize()


@dataclass
class Fetched:
    """A verifier whose model is there once it has scored."""

    info = VerifierInfo("fetched", "fetched", "steps", 0.0, 1.0, "value")
    shape = UNKNOWN

    async def score(self, problem: Problem, prefixes: list[Prefix]) -> list[StepScores]:
        self.shape = ModelShape(1000, 2, 8)
        return [StepScores((0.5,) * prefix.depth, (3,) * (prefix.depth + 1)) for prefix in prefixes]

    async def aclose(self) -> None:
        pass


def test_a_model_that_the_first_score_fetched_is_counted(
    tmp_path: Path,
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(registry.VERIFIERS, "random", Fetched)
    words = ["run", *PLAY, "--dataset", data, "--n", 2, "--verifier", "random"]
    assert ponder(*words, "--set", "size.parameters=10", "-o", tmp_path / "run", "--json") == 0
    costs = json.loads(capsys.readouterr().out)["costs"]["2"]
    with RunReader(tmp_path / "run") as reader:
        told = reader.provenance()["verifier_size"]
    assert told == {"parameters": 1000, "layers": 2, "width": 8}
    assert costs["flops"] > 2 * 1000 * 3
