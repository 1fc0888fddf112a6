"""What a search costs a reward model: counted from outside, over the ids that its family reads."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `verifiers` is not installed")
pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")

from ponder.types import Prefix, Problem, Step, StepScores
from ponder.verifiers import reward_opening
from ponder.verifiers.reward_families import load_family
from ponder.verifiers.reward_formats import RewardFormat
from ponder.verifiers.reward_model import RewardModel
from ponder.verifiers.reward_sequences import Ids
from tests.reward_definitions import DEFINITIONS, made
from tests.reward_tokenizers import step_of, words_of
from tests.torch_models import Measured
from tests.tree_models import distinct_tokens

DEPTH = 10


def beam_search(problem: Problem, seed: int, n: int = 16, kept: int = 4) -> Iterator[list[Prefix]]:
    """What is scored at each depth; a step in eight begins with a line end, which may merge."""
    draw = random.Random(seed)
    beams = [Prefix.root(problem)]
    for _ in range(DEPTH):
        steps = (draw.choice(["", "\n", *[""] * 6]) + step_of(draw) for _ in range(n))
        grown = [beams[at % len(beams)].grow(Step(step)) for at, step in enumerate(steps)]
        yield grown
        beams = draw.sample(grown, kept)


async def search(model: RewardModel, problem: Problem, seed: int) -> list[Prefix]:
    """Every prefix that was scored."""
    asked: list[Prefix] = []
    for prefixes in beam_search(problem, seed):
        answers = await model.score(problem, prefixes)
        assert all(isinstance(answer, StepScores) for answer in answers)
        asked += prefixes
    return asked


def inputs(form: RewardFormat, asked: Sequence[Prefix]) -> list[tuple[Ids, ...]]:
    """The ids to read for each prefix: several where one is not the beginning of the next."""
    return [
        form.read(prefix.problem.question, [step.text for step in prefix.steps]).sequences
        for prefix in asked
    ]


async def opened(family: str | Path, folder: Path) -> tuple[RewardModel, Measured]:
    model = await RewardModel.open(str(folder), family, device="cpu")
    parts = model._parts.opened
    assert parts is not None
    trees = parts.reader._passes._model
    assert isinstance(trees, Measured)
    return model, trees


@pytest.mark.parametrize("problems", [3, pytest.param(16, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("family", "marker", "forks"),
    [
        ("qwen2.5-math-prm", "<extra_0>", False),
        ("rlhflow", "+", False),
        ("trl-joined", "\n\n", False),
        ("trl-joined", "\n", True),
    ],
)
async def test_the_first_layer_sees_each_distinct_token_once(
    family: str,
    marker: str,
    forks: bool,
    problems: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beam searches at once, 16 candidates of width 4 a depth, template and markers included.

    `trl-joined` merges a marker with the step before it; where the marker is a line end, also with
    one that begins the next step, and then a longer text does not begin with a shorter one's ids.
    """
    monkeypatch.setattr(reward_opening, "TorchTrees", Measured)
    definition, written = DEFINITIONS[family], tmp_path / "family.toml"
    made(definition, tmp_path)
    written.write_text(f"like = {json.dumps(family)}\n[input]\nmarker = {json.dumps(marker)}\n")
    model, trees = await opened(written, tmp_path)
    asked = [Problem.ask(f"{words_of(random.Random(at))} {at}?") for at in range(problems)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(search(model, one, at)) for at, one in enumerate(asked)]
    await model.aclose()
    form = RewardFormat(load_family(written), definition.tokenizer())
    read = [inputs(form, task.result()) for task in tasks]
    distinct = sum(distinct_tokens(chain.from_iterable(sequences)) for sequences in read)
    assert any(len(ids) > 1 for sequences in read for ids in sequences) == forks
    assert trees.positions / distinct <= 1.1
    assert trees.peak_bytes <= 1.5 * distinct * trees.bytes_a_token
