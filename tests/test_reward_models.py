"""Reward models by family against their own definitions, and what each verifier promises."""

from __future__ import annotations

import asyncio
import json
import sys
import weakref
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `verifiers` is not installed")
pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")

from safetensors.torch import load_file, save_file

from ponder.backends.checkpoint import PIECES, SAMPLED, fingerprint
from ponder.backends.prefix_tree import Outputs
from ponder.backends.problem_tree import ProblemTree
from ponder.backends.torch_pass import TreeState
from ponder.errors import MissingExtraError, UsageError, VerifierError
from ponder.recipes.registry import verifier_of
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.reward_family import Read
from ponder.verifiers.reward_model import RewardModel
from ponder.verifiers.reward_scores import score_at
from tests.contracts.verifier_contract import CONTRACT, Check
from tests.reward_definitions import DEFINITIONS, Checkpoint, made
from tests.reward_tokenizers import solutions

REASONEVAL = Path(__file__).parent.parent / "examples" / "reasoneval.toml"
MUTANTS = {
    "math-shepherd": [
        ('head = "labels"', 'offset = -1\nhead = "labels"'),
        ('marker = " ки"', 'marker = " +"'),
        ('["▁+", "▁-"]', '["▁-", "▁+"]'),
    ],
    "rlhflow": [
        ("offset = -1", "offset = -2"),
        ('marker = "+"', 'marker = "-"'),
        ('["+", "-"]', '["-", "+"]'),
    ],
    "skywork": [
        ('head = "value"', 'offset = -1\nhead = "value"'),
        ('marker = "\\n"', 'marker = " "'),
        ('head = "value"', 'squash = "none"\nhead = "value"'),
    ],
    "qwen2.5-math-prm": [
        ('head = "classes"', 'offset = -1\nhead = "classes"'),
        ('marker = "<extra_0>"', 'marker = "<|im_end|>"'),
        ("positive = [1]", "positive = [0]"),
    ],
    "trl": [
        ('head = "classes"', 'offset = -1\nhead = "classes"'),
        ('marker = "\\n"', 'marker = "\\n\\n"'),
        ("positive = [1]", "positive = [0]"),
    ],
    "trl-joined": [
        ('head = "classes"', 'offset = -1\nhead = "classes"'),
        ('marker = "\\n\\n"', 'marker = "\\n"'),
        ("positive = [1]", "positive = [0]"),
    ],
    "reasoneval": [
        ("offset = -1", "offset = 0"),
        ('tokens = "fenced"', 'tokens = "pieces"'),
        ("positive = [1, 2]", "positive = [0, 1]"),
    ],
    "outcome": [
        ('layout = "chat"', 'layout = "text"'),
        ('layout = "chat"', 'layout = "chat"\nsystem = "Judge."'),
        ('head = "value"', 'squash = "none"\nhead = "value"'),
    ],
}
"""A shifted position, another marker, swapped classes, as the family's data would have them."""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    return {
        name: made(definition, tmp_path_factory.mktemp(name))
        for name, definition in DEFINITIONS.items()
    }


def source(family: str) -> str:
    """The family's TOML."""
    if family == "reasoneval":
        return REASONEVAL.read_text()
    return files("ponder.verifiers").joinpath("families", f"{family}.toml").read_text()


def model_of(checkpoint: Checkpoint, family: str) -> RewardModel:
    return RewardModel(
        str(checkpoint.folder), REASONEVAL if family == "reasoneval" else family, device="cpu"
    )


def grown(problem: Problem, steps: list[str]) -> Prefix:
    prefix = Prefix.root(problem)
    for step in steps:
        prefix = prefix.grow(Step(step))
    return prefix


def defined(family: str, checkpoint: Checkpoint, question: str, steps: list[str]) -> list[float]:
    """The scores by definition; an empty step repeats the one before it."""
    scores = DEFINITIONS[family].scores
    if family == "outcome":
        return scores(checkpoint, question, steps)
    said = iter(scores(checkpoint, question, [step.rstrip() for step in steps if step.strip()]))
    full: list[float] = []
    for step in steps:
        full.append(next(said) if step.strip() else full[-1] if full else 1.0)
    return full


async def differences(
    model: RewardModel, family: str, checkpoint: Checkpoint, number: int
) -> list[float]:
    """The greatest difference from the definition of each of so many random solutions."""
    found: list[float] = []
    for question, steps in solutions(number):
        problem = Problem.ask(question)
        (answer,) = await model.score(problem, [grown(problem, steps)])
        assert isinstance(answer, StepScores), answer
        wanted = defined(family, checkpoint, question, steps)
        pairs = zip(answer.scores, wanted, strict=True)
        found.append(max(abs(score - right) for score, right in pairs))
    return found


@pytest.mark.parametrize("size", [10, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("family", DEFINITIONS)
async def test_scores_are_those_of_the_definition(
    family: str, size: int, checkpoints: dict[str, Checkpoint]
) -> None:
    model = model_of(checkpoints[family], family)
    assert max(await differences(model, family, checkpoints[family], size)) < 1e-4
    await model.aclose()


@pytest.mark.parametrize("mutation", [0, 1, 2], ids=["position", "marker", "classes"])
@pytest.mark.parametrize("family", DEFINITIONS)
async def test_a_mutant_of_the_family_gives_other_scores(
    family: str, mutation: int, checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    right, wrong = MUTANTS[family][mutation]
    assert source(family).count(right) == 1
    mutant = tmp_path / "mutant.toml"
    mutant.write_text(source(family).replace(right, wrong))
    model = RewardModel(str(checkpoints[family].folder), mutant, device="cpu")
    assert max(await differences(model, family, checkpoints[family], 5)) > 1e-2
    await model.aclose()


@pytest.mark.parametrize("family", ["qwen2.5-math-prm", "outcome"])
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_keeps_the_contract(
    family: str, check: Check, checkpoints: dict[str, Checkpoint]
) -> None:
    model = model_of(checkpoints[family], family)
    await check(model)
    await model.aclose()


async def test_of_a_sequence_the_rows_of_its_places_alone_are_kept(
    checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[weakref.ref[Outputs]] = []
    along = ProblemTree.along

    def watched(self: ProblemTree[TreeState], path: Sequence[int]) -> Outputs:
        assert not any(copy() is not None for copy in copies), "one sequence at a time"
        outputs = along(self, path)
        copies.append(weakref.ref(outputs))
        return outputs

    monkeypatch.setattr(ProblemTree, "along", watched)
    model = model_of(checkpoints["trl-joined"], "trl-joined")
    problem = Problem.ask("What is 6 * 7?")
    prefixes = [grown(problem, ["It is 42.\n\n", f"Check {number}.\n\n"]) for number in range(4)]
    answers = await model.score(problem, prefixes)
    await model.aclose()
    assert all(isinstance(answer, StepScores) for answer in answers)
    assert len(copies) >= len(prefixes)


async def test_steps_score_alike_whenever_they_are_asked_for(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = model_of(checkpoints["trl-joined"], "trl-joined")
    problem = Problem.ask("What is 6 * 7?")
    steps = [f"Step {number}: {number} * 7.\n\n" for number in range(6)]
    prefixes = [grown(problem, steps[:end]) for end in range(1, 7)]
    one_by_one = [(await model.score(problem, [prefix]))[0] for prefix in prefixes]
    fresh = Problem.ask("What is 6 * 7?", "another object")
    (whole,) = await model.score(fresh, [grown(fresh, steps)])
    assert isinstance(whole, StepScores)
    for prefix, answer in zip(prefixes, one_by_one, strict=True):
        assert isinstance(answer, StepScores)
        assert answer.scores == pytest.approx(whole.scores[: prefix.depth], abs=1e-4)
        assert answer.tokens == (whole.tokens or ())[: prefix.depth + 1]
    await model.aclose()


async def test_each_token_is_computed_once(checkpoints: dict[str, Checkpoint]) -> None:
    model = await RewardModel.open(str(checkpoints["trl"].folder), device="cpu")
    problem = Problem.ask("What is 6 * 7?")
    steps = [f"{number} * 7 = {7 * number}.\n\n" for number in range(10)]
    total = 0
    async with asyncio.TaskGroup() as group:
        for end in range(1, 11):
            group.create_task(model.score(problem, [grown(problem, steps[:end])] * 3))
    (whole,) = await model.score(problem, [grown(problem, steps)])
    assert isinstance(whole, StepScores)
    total = sum(whole.tokens or ())
    counts = model.counts
    assert (counts.computed, counts.distinct) == (total, total)
    await model.aclose()


async def test_bfloat16_stays_close(checkpoints: dict[str, Checkpoint]) -> None:
    folder = str(checkpoints["skywork"].folder)
    exact = RewardModel(folder, device="cpu")
    rough = RewardModel(folder, device="cpu", dtype="bfloat16")
    assert exact.info.identity != rough.info.identity
    problem = Problem.ask("What is 6 * 7?")
    prefix = grown(problem, ["6 * 7 = 42.\n\n", "So it is 42."])
    (one,), (other,) = await exact.score(problem, [prefix]), await rough.score(problem, [prefix])
    assert isinstance(one, StepScores)
    assert isinstance(other, StepScores)
    assert one.scores != other.scores
    assert one.scores == pytest.approx(other.scores, abs=0.1)
    await exact.aclose()
    await rough.aclose()


async def test_what_is_too_long_fails_alone(checkpoints: dict[str, Checkpoint]) -> None:
    model = model_of(checkpoints["trl"], "trl")
    problem = Problem.ask("What?")
    short, endless = grown(problem, ["42."]), grown(problem, ["42. " * 4000])
    one, other = await model.score(problem, [short, endless])
    assert isinstance(one, StepScores)
    assert isinstance(other, ScoreFailure)
    assert "4096" in other.reason
    await model.aclose()


async def test_a_broken_checkpoint_is_a_verifier_error_each_time(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    for path in checkpoints["skywork"].folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    family = tmp_path / "mine.toml"
    family.write_text('like = "skywork"\n[read]\nlayers = ["v_head.none"]\n')
    model = RewardModel(str(tmp_path), family, device="cpu")
    problem = Problem.ask("What?")
    for _ in range(2):
        with pytest.raises(VerifierError, match=r"no weight v_head.none.weight"):
            await model.score(problem, [grown(problem, ["42."])])
    await model.aclose()
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(VerifierError, match="cannot open the tokenizer"):
        await RewardModel.open(str(tmp_path), "skywork")


async def test_a_closed_model_opens_again(checkpoints: dict[str, Checkpoint]) -> None:
    model = model_of(checkpoints["outcome"], "outcome")
    problem = Problem.ask("What?")
    first = await model.score(problem, [grown(problem, ["42."])])
    await model.aclose()
    await model.aclose()
    assert await model.score(problem, [grown(problem, ["42."])]) == first
    await model.aclose()


def test_the_registry_builds_it_and_refuses_bad_knobs(checkpoints: dict[str, Checkpoint]) -> None:
    folder = str(checkpoints["qwen2.5-math-prm"].folder)
    verifier = verifier_of("reward-model", {"model": folder, "cache_gb": 1.0})
    assert (verifier.info.scores, verifier.info.estimates) == ("steps", "correctness")
    for knobs, message in (
        ({"model": folder, "cache_gb": 0}, "`cache_gb` must be over 0, got 0"),
        ({"model": folder, "tokens_a_pass": 0}, "`tokens_a_pass` must be at least 1, got 0"),
        ({"model": folder, "dtype": "int8"}, "`dtype` must be one of float32, .* got 'int8'"),
        ({"model": folder, "family": "none"}, "unknown family 'none': use one of math-shepherd"),
        ({"model": "some/model"}, "no family of reward models fits 'some/model'"),
        ({}, "model"),
    ):
        with pytest.raises(UsageError, match=message):
            verifier_of("reward-model", knobs)


def test_a_missing_extra_is_named(
    checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[verifiers\]'"):
        RewardModel(str(checkpoints["trl"].folder))


def test_the_identity_follows_the_weights(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    for path in checkpoints["trl"].folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = RewardModel(str(tmp_path), "trl").info.identity
    assert RewardModel(str(tmp_path), "trl-joined").info.identity != before
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert RewardModel(str(tmp_path), "trl").info.identity != before


def test_the_identity_of_a_large_file_follows_its_beginning_and_end(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no model"):
        fingerprint(str(tmp_path))
    weights, found = bytearray(SAMPLED * PIECES + 1), set()
    for place in (None, 0, -1):
        if place is not None:
            weights[place] ^= 1
        (tmp_path / "model.safetensors").write_bytes(weights)
        found.add(fingerprint(str(tmp_path)))
    assert len(found) == 3
    assert fingerprint("some/model") == "some/model"


async def test_a_step_that_cannot_be_written_fails_alone(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    family = tmp_path / "strict.toml"
    family.write_text('like = "trl-joined"\n[input]\nmarker_tokens = 1\n')
    model = RewardModel(str(checkpoints["trl-joined"].folder), family, device="cpu")
    problem = Problem.ask("What?")
    prefixes = [grown(problem, ["So it is."]), grown(problem, ["So"])]
    merged, other = await model.score(problem, prefixes)
    assert isinstance(merged, ScoreFailure)
    assert "merges step 1 with the marker" in merged.reason
    assert isinstance(other, StepScores)
    await model.aclose()


async def test_numbers_that_are_no_scores_are_failures(
    checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    for path in checkpoints["skywork"].folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["v_head.summary.bias"] += float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = RewardModel(str(tmp_path), device="cpu")
    problem = Problem.ask("What?")
    (answer,) = await model.score(problem, [grown(problem, ["42."])])
    assert isinstance(answer, ScoreFailure)
    assert "no score" in answer.reason
    await model.aclose()


def test_scores_are_probabilities_and_never_beyond_the_range() -> None:
    labels = Read(head="labels", labels=("+", "-"))
    assert score_at([1.0, 1.0], labels) == 0.5
    assert score_at([2000.0, -2000.0], labels) == 1.0
    assert score_at([0.0, 0.0, 0.0], Read(head="classes", positive=(1, 2))) == pytest.approx(2 / 3)
    assert score_at([-2000.0], Read(head="value")) == 0.0
    raw = Read(head="value", squash="none", low=-5.0, high=5.0)
    assert [score_at([value], raw) for value in (-9.0, 1.5, 9.0)] == [-5.0, 1.5, 5.0]
    for outputs, read, message in (
        ([float("nan")], raw, "no score"),
        ([1.0, 2.0], raw, "reads 1 numbers a token, and the model has 2"),
        ([1.0, 2.0], Read(head="classes", positive=(2,)), "the model has 2"),
    ):
        with pytest.raises(VerifierError, match=message):
            score_at(outputs, read)


def test_configs_of_these_checkpoints_name_their_family(
    checkpoints: dict[str, Checkpoint],
) -> None:
    for name in ("skywork", "qwen2.5-math-prm", "trl", "outcome"):
        folder = checkpoints[name].folder
        assert json.loads((folder / "config.json").read_text())["architectures"]
        assert RewardModel(str(folder)).info == RewardModel(str(folder), name).info
