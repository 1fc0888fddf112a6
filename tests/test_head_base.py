"""Heads on transformers checkpoints: their states, the path that is chosen, and what warns."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from ponder.errors import MissingExtraError, PonderError, UsageError, VerifierError
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.head_base import HeadBase, find_base
from ponder.verifiers.head_config import HeadConfig
from ponder.verifiers.openvino_base import OpenVinoBase
from ponder.verifiers.state_reader import SolutionStates, StateReader
from ponder.verifiers.transformers_base import TransformersBase
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.contracts.verifier_contract import CONTRACT, PROBLEM, Check, grown, scores_of
from tests.reward_tokenizers import qwen
from tests.test_cli import ponder
from tests.test_training_engine import PROBLEMS, check_served, pool
from tests.test_value_head import FIGURES, made_head
from tests.torch_models import SIZES, built, config_of, torch, transformers

LAYERS: Final = (1, 3)
HIDDEN: Final[int] = SIZES["hidden_size"]
STEPS: Final = ("Kim buys 6 * 7 = 42 cards.\n\n", "", " \n", "42 - 2 = 40 naïve.\n\n", "It is 40.")


def checkpoint(folder: Path, seed: int = 0, dtype: Any = torch.float32) -> Path:
    """A folder as a model's own, with random weights."""
    tokenizer = qwen()
    model = built(config_of("Qwen2", vocab_size=len(tokenizer)), dtype=dtype)
    torch.manual_seed(seed)
    model.model.embed_tokens.weight.data.normal_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("tiny"))


def served(base: HeadBase, folder: Path, **config: Any) -> ValueHeadVerifier:
    """A random head on the base model, in the folder."""
    told = {"engine": base.engine, "computed": base.computed, "layers": LAYERS, **config}
    made_head(base.of, len(LAYERS) * HIDDEN, **told).save(folder)
    return ValueHeadVerifier(folder)


def whole(states: SolutionStates) -> SolutionStates:
    return states


async def read(reader: StateReader, *prefixes: Prefix) -> list[SolutionStates]:
    found = await reader.reduced(PROBLEM, prefixes, whole)
    await reader.aclose()
    return [one for one in found if not isinstance(one, ScoreFailure)]


def ids_of(folder: Path, steps: Sequence[str]) -> tuple[list[int], list[int]]:
    """All ids and where the prompt and each step end, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    turn = {"role": "user", "content": PROBLEM.question}
    asked = tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    parts = [asked, *(text.rstrip() + "\n\n" if text.strip() else "" for text in steps)]
    encoded = [tokenizer.encode(part, add_special_tokens=False) for part in parts]
    return [i for ids in encoded for i in ids], np.cumsum([len(ids) for ids in encoded]).tolist()


async def test_states_are_those_of_transformers(tiny: Path) -> None:
    [found] = await read(find_base(tiny).open(LAYERS, prompt="question"), grown(*STEPS))
    token_ids, ends = ids_of(tiny, STEPS)
    assert [found.start, *found.ends] == ends
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        whole = model(torch.tensor([token_ids]), output_hidden_states=True).hidden_states
    wanted = np.concatenate([whole[layer][0].numpy() for layer in LAYERS], axis=1)
    np.testing.assert_allclose(found.outputs, wanted, atol=1e-4)


async def test_states_step_by_step_are_those_at_once(tiny: Path) -> None:
    base = find_base(tiny)
    [once] = await read(base.open(LAYERS, prompt="question"), grown(*STEPS))
    reader = base.open(LAYERS, prompt="question")
    for count in range(len(STEPS) + 1):
        [part] = await reader.reduced(PROBLEM, [grown(*STEPS[:count])], whole)
        assert isinstance(part, SolutionStates)
        assert part.ends == once.ends[:count]
        np.testing.assert_allclose(part.outputs, once.outputs[: len(part.outputs)], atol=1e-4)
    assert reader.counts.computed == len(once.outputs)
    await reader.aclose()


@contextmanager
def passed_through_the_first_layer() -> Iterator[list[int]]:
    """Positions in each pass of any model's first layer, counted from outside."""
    counts: list[int] = []

    def count(module: Any, given: Any, hidden: Any) -> None:
        if type(module).__name__ == "Qwen2DecoderLayer" and module.self_attn.layer_idx == 0:
            counts.append(hidden.shape[0] * hidden.shape[1])

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield counts
    finally:
        hook.remove()


async def test_a_search_passes_each_token_through_the_model_once(tiny: Path) -> None:
    reader = find_base(tiny).open(LAYERS, prompt="question")
    beams, nodes = [grown("First, 6 * 7 = 42.\n\n"), grown("Kim has 6.\n\n")], set()
    with passed_through_the_first_layer() as counts:
        for depth in range(4):
            await reader.reduced(PROBLEM, beams, whole)
            for beam in beams:
                ids, _ = ids_of(tiny, [step.text for step in beam.steps])
                nodes |= {tuple(ids[:end]) for end in range(1, len(ids) + 1)}
            steps = [Step(f"Step {depth} of {number}.\n\n") for number in range(2)]
            beams = [beam.grow(step) for beam in beams for step in steps]
    await reader.aclose()
    assert sum(counts) == len(nodes)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(tiny: Path, tmp_path: Path, check: Check) -> None:
    verifier = served(find_base(tiny), tmp_path)
    await check(verifier)
    await verifier.aclose()


def test_a_trained_head_serves_what_it_was_trained_on(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, folder = tmp_path / "run", tmp_path / "head"
    assert ponder("import", "pool", pool(tmp_path), "-o", run) == 0
    capsys.readouterr()
    words = ["train-verifier", run, "-o", folder, "--base", tiny, "--layers", "1,-1", "--json"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert ponder(*words, "--device", "cuda") == 2
    assert "torch finds no GPU for `device` = cuda" in capsys.readouterr().err
    assert ponder(*words, "--device", "cpu") == 0
    assert json.loads(capsys.readouterr().out)["layers"] == [1, 3]
    config = HeadConfig.model_validate_json((folder / "head.json").read_bytes())
    assert config.engine.startswith("transformers ")
    assert (config.computed, config.base.weights, config.base.path) == ("f32", "float32", str(tiny))
    asyncio.run(check_served(run, folder, (1, 3)))
    few = ["--problems", 8, "--held-out", run, "-o", tmp_path / "few", "--device", "cpu"]
    assert ponder(*words, *few) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"]["train"] + report["problems"]["validation"] == 8
    assert report["problems"]["held_out"] == PROBLEMS - 8


async def warned(verifier: ValueHeadVerifier) -> str:
    """The only warning of two scores."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await scores_of(verifier, grown("1 + 1 = 2"))
        await scores_of(verifier, grown("1 + 1 = 3"))
    await verifier.aclose()
    [warning] = caught
    return str(warning.message)


async def test_a_head_of_the_other_path_or_another_model_warns(tiny: Path, tmp_path: Path) -> None:
    base = find_base(tiny)
    told = await warned(served(base, tmp_path / "path", engine="openvino 2026.4.1"))
    assert f"engine {base.engine} (trained on openvino 2026.4.1)" in told
    assert "model" not in told
    other = checkpoint(tmp_path / "other", seed=1)
    verifier = replace(served(base, tmp_path / "model"), model=other)
    assert find_base(other).of.sha256 in verifier.info.identity
    assert f"(trained on {base.of.sha256})" in await warned(verifier)


async def test_precision_is_the_heads_own_and_another_one_warns(tiny: Path, tmp_path: Path) -> None:
    half = find_base(checkpoint(tmp_path / "half", dtype=torch.bfloat16))
    assert (half.computed, half.of.weights) == ("bf16", "bfloat16")
    trained = served(half, tmp_path / "head")
    await scores_of(trained, grown("1 + 1 = 2"))  # a warning would be an error
    await trained.aclose()
    single = replace(trained, dtype="float32")
    assert single.info.identity != trained.info.identity
    assert "precision f32 (trained on bf16)" in await warned(single)
    assert find_base(tiny, trained="bf16").computed == "bf16"
    assert find_base(tiny, dtype="float16", trained="bf16").computed == "f16"


@pytest.mark.parametrize(
    ("figure", "where"),
    [
        ("better_than_chance", "on its held-out problems"),
        ("better_within_problems", "among the samples of a held-out problem"),
    ],
)
async def test_a_head_no_better_than_chance_warns_once(
    tiny: Path, tmp_path: Path, figure: str, where: str
) -> None:
    chance = FIGURES.model_copy(update={figure: False})
    told = await warned(served(find_base(tiny), tmp_path, training=chance))
    assert f"no better than chance {where}" in told
    assert "\n" not in told


async def test_a_base_model_that_has_moved_is_named(tiny: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(tiny, old)
    await served(find_base(old), tmp_path / "head").aclose()
    old.rename(new)
    prefix = Prefix.root(PROBLEM).grow(Step("yes"))
    with pytest.raises(UsageError, match=f"no longer at {old}: name where it is by `model`"):
        await ValueHeadVerifier(tmp_path / "head").score(PROBLEM, [prefix])
    moved = ValueHeadVerifier(tmp_path / "head", model=new)
    [score] = await moved.score(PROBLEM, [prefix])
    assert isinstance(score, StepScores)
    await moved.aclose()


def test_the_command_line_prints_a_warning_as_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    assert ponder("--help") == 0
    printed = warnings.formatwarning("the head is\n weak", UserWarning, "value_head.py", 7)
    assert printed == "ponder: warning: the head is weak\n"


async def test_half_a_surrogate_pair_is_read_as_a_question_mark(tiny: Path) -> None:
    base, problem = find_base(tiny), Problem.ask(PROBLEM.question)
    halved, plain = (Prefix.root(problem).grow(Step(text)) for text in ("a \ud83e b", "a ? b"))
    one, two = await read(base.open(LAYERS, prompt="question"), halved, plain)
    np.testing.assert_array_equal(one.outputs, two.outputs)


def test_what_is_named_decides_the_path(tiny: Path, tmp_path: Path) -> None:
    assert isinstance(find_base(tiny), TransformersBase)
    with pytest.raises(UsageError, match="neither"):
        find_base(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        find_base("heads/none.gguf")
    (tmp_path / "config.json").write_text("{}")
    for name in ("model.xml", "model.bin", "tokenizer.xml", "detokenizer.xml"):
        (tmp_path / f"openvino_{name}").write_bytes(b"")
    assert isinstance(find_base(tmp_path), OpenVinoBase)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"threads": 2}, "`threads` is for an OpenVINO base model"),
        ({"dtype": "int8"}, "`dtype` must be one of float32"),
    ],
)
def test_knobs_that_a_checkpoint_does_not_take(
    tiny: Path, knobs: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        find_base(tiny, **knobs)


def test_knobs_that_openvino_does_not_take() -> None:
    with pytest.raises(UsageError, match="`device` is for a transformers base model"):
        find_base("some.gguf", device="cuda")
    with pytest.raises(UsageError, match="is float32 or bfloat16, got 'float16'"):
        find_base(None, dtype="float16")


def test_openvino_computes_in_what_is_asked_for_or_was_trained_in() -> None:
    assert find_base(None).computed == "f32"
    assert find_base(None, trained="bf16").computed == "bf16"
    assert find_base(None, dtype="bfloat16").computed == "bf16"
    assert find_base(None, dtype="float32", trained="bf16").computed == "f32"


@pytest.mark.parametrize("layer", [0, 4, -4, -5])
def test_layers_that_are_not_there(tiny: Path, layer: int) -> None:
    with pytest.raises((UsageError, VerifierError), match=r"1 to 3|there is no layer"):
        find_base(tiny).layers([layer])


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_the_missing_extra_is_one_line(
    tiny: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[verifiers\]'") as caught:
        find_base(tiny)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "some.gguf"])
def test_the_missing_extra_of_openvino_is_told_before_a_model_is_looked_for(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino_genai", None)
    with pytest.raises(MissingExtraError, match=r"^openvino-genai is not installed: pip install "):
        find_base(name)


async def test_a_name_on_the_hub_is_found_and_known_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, kept = "c0ffee" * 6 + "beef", tmp_path / "models--made--tiny"
    checkpoint(kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    base = find_base("made/tiny")
    assert (base.of.name, base.of.path, base.of.sha256) == ("tiny", "made/tiny", commit)
    reader = base.open(base.layers((-1,)), prompt="question")
    assert reader.width == HIDDEN
    await reader.aclose()


def test_a_name_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PonderError, match="cannot find made/none: name a folder") as caught:
        find_base("made/none")
    assert "\n" not in str(caught.value)
