"""A trained head: its features, its files, and the verifier that reads a model's states with it."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends import openvino_trees
from ponder.backends.local_model import LocalModel, find_model
from ponder.backends.models import silent
from ponder.backends.openvino_trees import OpenVinoTrees, engine_version
from ponder.backends.prefix_tree import Growth, Outputs
from ponder.backends.tree_reader import TreeReader
from ponder.errors import UsageError, VerifierError
from ponder.types import Message, Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.head_base import find_base
from ponder.verifiers.head_config import (
    BaseOf,
    Calibration,
    Features,
    HeadConfig,
    Prompt,
    TrainingFigures,
)
from ponder.verifiers.head_file import (
    ARRAYS_FILE,
    RECENT,
    Dense,
    ValueHead,
    parts_of,
    step_features,
)
from ponder.verifiers.openvino_base import FolderTokenizer
from ponder.verifiers.reward_opening import DType
from ponder.verifiers.state_reader import StateReader
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.contracts.verifier_contract import CONTRACT, PROBLEM, Check, grown, scores_of
from tests.tiny_gguf import WIDTH, write_tiny

FIGURES: Final = TrainingFigures(
    problems=2, samples=8, held_out_problems=1, auc=0.5, brier=0.25, seed=1, data="made up"
)
HALF_AND_FULL: Final[tuple[DType, ...]] = ("bfloat16", "float32")
KINDS: Final[tuple[Features, ...]] = get_args(Features)


def made_head(base: BaseOf, width: int, hidden: int = 0, **config: Any) -> ValueHead:
    """A random head on states of that width."""
    rng = np.random.default_rng(5)
    told = {"engine": engine_version(), "layers": (1,), "features": "last", "labels": "outcome"}
    said = HeadConfig.model_validate({"base": base, "training": FIGURES, **told, **config})
    features = 2 * width if said.features == "last+mean" else width
    sizes = [features, *([hidden] if hidden else []), 1]
    dense = tuple(
        Dense(
            (rng.standard_normal((inputs, outputs)) / inputs**0.5).astype(np.float32),
            rng.standard_normal(outputs).astype(np.float32),
        )
        for inputs, outputs in pairwise(sizes)
    )
    centre = rng.standard_normal(features).astype(np.float32)
    return ValueHead(said, centre, np.full(features, 2.0, dtype=np.float32), dense)


OTHER: Final = BaseOf(name="other", sha256="0" * 64, weights="f16")


@given(st.data(), st.sampled_from(KINDS))
def test_features_are_the_states_that_their_name_says(data: st.DataObject, kind: Features) -> None:
    start = data.draw(st.integers(1, 6))
    lengths = data.draw(st.lists(st.integers(0, 30), max_size=5))
    ends = [int(end) for end in start + np.cumsum(lengths, dtype=int)]
    total = ends[-1] if ends else start
    outputs = np.random.default_rng(total).standard_normal((total, 3)).astype(np.float32)
    found = step_features(outputs, start, ends, kind)
    assert found.shape == (len(ends), 3 * len(parts_of(kind)))
    for row, end in zip(found, ends, strict=True):
        solution = outputs[start:end] if end > start else outputs[start - 1 : start]
        wanted = {
            "last": solution[-1],
            "mean": solution.mean(axis=0),
            "recent": solution[-RECENT:].mean(axis=0),
            "question": outputs[start - 1],
        }
        told = np.concatenate([wanted[part] for part in parts_of(kind)])
        np.testing.assert_allclose(row, told, atol=1e-6)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.sampled_from(KINDS))
def test_features_of_a_step_do_not_change_with_what_follows(
    lengths: list[int], kind: Features
) -> None:
    ends = [int(end) for end in 4 + np.cumsum(lengths)]
    outputs = np.random.default_rng(0).standard_normal((ends[-1], 3)).astype(np.float32)
    whole = step_features(outputs, 4, ends, kind)
    for count in range(1, len(ends)):
        part = step_features(outputs[: ends[count - 1]], 4, ends[:count], kind)
        np.testing.assert_array_equal(part, whole[:count])


def test_a_linear_head_is_a_calibrated_logistic_regression() -> None:
    head = made_head(OTHER, 4, calibration=Calibration(scale=3.0, shift=-0.5))
    features = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)
    [layer] = head.dense
    logits = (features - head.centre) / 2 @ layer.weight[:, 0] + layer.bias[0]
    np.testing.assert_allclose(head.logits(features), logits, rtol=1e-5)
    wanted = 1 / (1 + np.exp(-(3.0 * logits - 0.5)))
    np.testing.assert_allclose(head.predict(features), wanted, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_hidden_layer_has_the_activation_that_is_stated(activation: str) -> None:
    head = made_head(OTHER, 4, hidden=6, activation=activation)
    features = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)
    inner, outer = head.dense
    values = (features - head.centre) / 2 @ inner.weight + inner.bias
    values = np.tanh(values) if activation == "tanh" else values * (values > 0)
    wanted = (values @ outer.weight + outer.bias)[:, 0]
    np.testing.assert_allclose(head.logits(features), wanted, rtol=1e-5)


def test_extreme_features_give_probabilities() -> None:
    head = made_head(OTHER, 4)
    features = np.array([[1e30] * 4, [-1e30] * 4], dtype=np.float32)
    found = head.predict(features)
    assert set(found) == {0.0, 1.0}


@pytest.mark.parametrize("hidden", [0, 6])
def test_a_head_comes_back_from_its_files(hidden: int, tmp_path: Path) -> None:
    head = made_head(OTHER, 4, hidden, features="last+mean", layers=(3, 1))
    head.save(tmp_path / "new" / "head")
    again = ValueHead.load(tmp_path / "new" / "head")
    assert again.config == head.config
    assert again.identity == head.identity
    features = np.random.default_rng(1).standard_normal((7, 8)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(features), head.predict(features))


def test_a_head_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ARRAYS_FILE).mkdir()
    with pytest.raises(VerifierError, match=f"cannot write {tmp_path / ARRAYS_FILE}: "):
        made_head(OTHER, 4).save(tmp_path)


def test_the_head_of_the_gsm8k_recipe_is_for_any_machine() -> None:
    head = ValueHead.load(Path(__file__).parents[1] / "recipes/gsm8k-qwen/head")
    assert head.config.base.path == head.config.base.name
    assert head.config.training is not None
    assert head.config.training.better_within_problems
    [average] = head.predict(head.centre[np.newaxis])
    assert 0 < average < 0.5, "most samples of this model are wrong"


def test_the_identity_is_of_what_decides_scores() -> None:
    head = made_head(OTHER, 4)
    figures = FIGURES.model_copy(update={"seed": 2})
    base = OTHER.model_copy(update={"path": "elsewhere"})
    same = head.config.model_copy(update={"training": figures, "base": base})
    assert replace(head, config=same).identity == head.identity
    mean = head.config.model_copy(update={"features": "mean"})
    others = (
        replace(head, config=mean),
        replace(head, centre=head.centre + 1),
        replace(head, dense=(head.dense[0]._replace(bias=head.dense[0].bias + 1),)),
    )
    assert len({head.identity, *(other.identity for other in others)}) == 4


def test_arrays_that_do_not_fit_are_refused() -> None:
    head = made_head(OTHER, 4, hidden=6)
    inner, outer = head.dense
    for dense in ((), (inner,), (outer, inner), (outer,)):
        with pytest.raises(ValueError, match="layer"):
            replace(head, dense=dense)
    with pytest.raises(ValueError, match="equal length"):
        replace(head, spread=head.spread[:-1])
    with pytest.raises(ValueError, match="over 0"):
        replace(head, spread=head.spread * 0)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match=r"holds no head\.json: train a head"):
        ValueHead.load(tmp_path)
    made_head(OTHER, 4).save(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"torn")
    with pytest.raises(VerifierError, match=r"head\.safetensors"):
        ValueHead.load(tmp_path)
    (tmp_path / "head.safetensors").unlink()
    with pytest.raises(VerifierError, match=r"head\.safetensors"):
        ValueHead.load(tmp_path)
    config = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps({**config, "features": "first"}))
    with pytest.raises(VerifierError, match=r"head\.json.*`features`: Input should be"):
        ValueHead.load(tmp_path)
    (tmp_path / "head.json").write_text("{")
    with pytest.raises(VerifierError, match=r"head\.json.*Invalid JSON.*train the head") as raised:
        ValueHead.load(tmp_path)
    assert "pydantic" not in str(raised.value)
    assert "validation error" not in str(raised.value)


def test_knobs_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is not a folder"):
        ValueHeadVerifier(tmp_path / "nowhere")
    with pytest.raises(VerifierError, match="holds no"):
        ValueHeadVerifier(tmp_path)
    made_head(OTHER, 4).save(tmp_path)
    with pytest.raises(UsageError, match=r"`cache_gb` must be over 0, got 0"):
        ValueHeadVerifier(tmp_path, cache_gb=0)
    with pytest.raises(UsageError, match=r"`threads` must be at least 1, got 0"):
        ValueHeadVerifier(tmp_path, threads=0)
    with pytest.raises(UsageError, match=r"`dtype` must be one of .*, got 'fp8'"):
        ValueHeadVerifier(tmp_path, dtype="fp8")  # type: ignore[arg-type]


Made = Callable[..., ValueHeadVerifier]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A tiny model that reads 4096 tokens."""
    folder = tmp_path_factory.mktemp("tiny")
    file = write_tiny(folder / "tiny.gguf", "F16", metadata={"llama.context_length": 4096})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONDER_CACHE", str(folder / "cache"))
        exported = find_model(file, silent).path
    (exported / "config.json").write_text('{"max_position_embeddings": 4096}')
    return find_model(exported, silent)


def base_of(model: LocalModel, **other: str) -> BaseOf:
    said = BaseOf(
        name=model.name, sha256=model.sha256, weights=model.precision, path=str(model.path)
    )
    return said.model_copy(update=other)


@pytest.fixture
def made(model: LocalModel, tmp_path: Path) -> Made:
    """A verifier with a random head on the tiny model's states."""

    def verifier(**config: Any) -> ValueHeadVerifier:
        head = made_head(**{"base": base_of(model), "width": WIDTH, **config})
        head.save(tmp_path / "head")
        return ValueHeadVerifier(tmp_path / "head")

    return verifier


@pytest.mark.engine
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(made: Made, check: Check) -> None:
    verifier = made()
    await check(verifier)
    await verifier.aclose()


@pytest.mark.engine
async def test_scores_and_tokens_grow_step_by_step(made: Made, model: LocalModel) -> None:
    verifier = made()
    texts = ("Kim buys 6 * 7 = 42 cards.\n\n", "", " \n", "42 - 2 = 40.\n\n", "The answer is 40.")
    [whole] = await scores_of(verifier, grown(*texts))
    for count in range(len(texts)):
        [part] = await scores_of(verifier, grown(*texts[:count]))
        np.testing.assert_allclose(part.scores, whole.scores[:count], atol=1e-5)
        assert whole.tokens is not None
        assert part.tokens == whole.tokens[: count + 1]
    assert whole.scores[0] == whole.scores[1] == whole.scores[2] != whole.scores[3]
    tokenizer = FolderTokenizer(model.path)
    prompt = len(tokenizer.prompt([Message("user", PROBLEM.question)]))
    steps = [len(tokenizer.text(text.rstrip() + "\n\n")) if text.strip() else 0 for text in texts]
    assert whole.tokens == (prompt, *steps)
    await verifier.aclose()


@pytest.mark.engine
async def test_a_prefix_that_is_too_long_fails_alone(made: Made) -> None:
    verifier = made()
    long, short = await verifier.score(PROBLEM, [grown("12345678" * 600), grown("1 + 1 = 2")])
    assert isinstance(long, ScoreFailure)
    assert "4096" in long.reason
    assert isinstance(short, StepScores)
    await verifier.aclose()


@pytest.mark.engine
async def test_the_prompt_is_the_question_or_the_conversation(made: Made) -> None:
    turns = (Message("system", "Think."), Message("user", "Solve it: 1 + 1"))
    problem = Problem(turns, question="1 + 1")
    prefix = Prefix.root(problem).grow(Step("It is 2."))
    tokens = {}
    styles: tuple[Prompt, ...] = ("question", "messages")
    for style in styles:
        verifier = made(prompt=style)
        [answer] = await verifier.score(problem, [prefix])
        assert isinstance(answer, StepScores)
        tokens[style] = answer.tokens
        await verifier.aclose()
    short, long = tokens["question"], tokens["messages"]
    assert short is not None
    assert long is not None
    assert long[0] > short[0]
    assert long[1:] == short[1:]


@pytest.mark.engine
async def test_a_difference_warns_once_and_names_both_sides(model: LocalModel, made: Made) -> None:
    verifier = made(engine="openvino 2001.1", base=base_of(model, weights="q8_0"))

    async def scored_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(scores_of(verifier, grown(f"1 + 1 = {number}")))

    with pytest.warns(UserWarning, match="scores may be off") as caught:
        await scored_at_once()
    [warning] = caught
    text = str(warning.message)
    assert "weights exported (trained on q8_0)" in text
    assert f"engine {engine_version()} (trained on openvino 2001.1)" in text
    assert "model" not in text
    await verifier.aclose()


@pytest.mark.engine
async def test_states_of_another_rounding_are_told_apart(
    model: LocalModel, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are rounded by 128 are named as they were before the rounding was told."""
    rounded, exact = (find_base(model.path, dtype=dtype) for dtype in HALF_AND_FULL)
    release = engine_version()
    assert rounded.engine == exact.engine == release
    monkeypatch.setattr(openvino_trees, "_GROUP", "32")
    assert rounded.engine == f"{release} group 32"
    assert exact.engine == release
    verifier = made(engine=release, computed="bf16")
    with pytest.warns(UserWarning, match=rf"engine {release} group 32 \(trained on {release}\)"):
        await scores_of(verifier, grown("1 + 1 = 2"))
    await verifier.aclose()


@pytest.mark.engine
async def test_another_model_warns_and_the_identity_is_of_the_one_that_is_read(
    model: LocalModel, made: Made
) -> None:
    other = made(base=base_of(model, sha256="0" * 64))
    assert model.sha256[:16] in other.info.identity
    with pytest.warns(UserWarning, match=rf"model {model.sha256[:16]} \(trained on 0000"):
        await scores_of(other, grown("1 + 1 = 2"))
    await other.aclose()


@pytest.mark.engine
async def test_states_of_another_width_cannot_be_read(made: Made) -> None:
    verifier = made(width=WIDTH // 2)
    with pytest.raises(UsageError, match=rf"states of {WIDTH // 2} numbers, .* has {WIDTH}"):
        await verifier.score(PROBLEM, [grown("1 + 1 = 2")])
    await verifier.aclose()


class CountingTrees:
    """A tree model that counts what goes through it."""

    def __init__(self, trees: OpenVinoTrees) -> None:
        self._trees = trees
        self.bytes_a_token, self.longest = trees.bytes_a_token, trees.longest
        self.tokens = 0

    def new_state(self) -> Any:
        return self._trees.new_state()

    def extend(self, trees: Sequence[tuple[Any, Growth]]) -> list[Outputs]:
        self.tokens += sum(len(growth.token_ids) for _, growth in trees)
        return self._trees.extend(trees)


@pytest.mark.engine
async def test_a_search_computes_each_token_once(model: LocalModel) -> None:
    trees, tokenizer = CountingTrees(OpenVinoTrees(model, (1, -1))), FolderTokenizer(model.path)
    reader = TreeReader(trees, tokens_a_pass=64, cache_tokens=20_000)
    states = StateReader(reader, 2 * WIDTH, tokenizer, "question")
    beams = [grown("First, Kim buys 6 * 7 = 42 cards.\n\n"), grown("Kim has 6 packs.\n\n")]
    nodes: set[tuple[int, ...]] = set()
    for depth in range(4):
        await states.reduced(PROBLEM, beams, len)
        for beam in beams:
            token_ids = tokenizer.prompt([Message("user", PROBLEM.question)])
            for step in beam.steps:
                token_ids += tokenizer.text(step.text)
            nodes |= {tuple(token_ids[:end]) for end in range(1, len(token_ids) + 1)}
        beams = [beam.grow(Step(f"Step {depth} of {n}.\n\n")) for beam in beams for n in range(2)]
    assert trees.tokens == len(nodes) == states.counts.computed
    await states.aclose()


@pytest.mark.engine
async def test_the_default_model_scores_step_by_step_as_at_once(tmp_path: Path) -> None:
    model = find_model(None, silent)
    base = BaseOf(name=model.name, sha256=model.sha256, weights=model.precision)
    made_head(base, 576, layers=(20,), features="recent").save(tmp_path)
    verifier = ValueHeadVerifier(tmp_path)
    assert model.sha256[:16] in verifier.info.identity
    texts = ("First, Kim buys 6 * 7 = 42 cards.\n\n", "42 - 2 = 40.\n\n", "The answer is 40.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [first] = await scores_of(verifier, grown(texts[0]))
        [second] = await scores_of(verifier, grown(*texts[:2]))
        [third] = await scores_of(verifier, grown(*texts))
    afresh = Problem.ask(PROBLEM.question)
    prefix = Prefix.root(afresh)
    for text in texts:
        prefix = prefix.grow(Step(text))
    [whole] = await verifier.score(afresh, [prefix])
    assert isinstance(whole, StepScores)
    assert whole.tokens == third.tokens
    np.testing.assert_allclose(whole.scores, third.scores, rtol=1e-3)
    np.testing.assert_allclose(first.scores, whole.scores[:1], rtol=1e-3)
    np.testing.assert_allclose(second.scores, whole.scores[:2], rtol=1e-3)
    await verifier.aclose()
