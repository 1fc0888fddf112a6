"""From sampled and graded runs to a saved head, on states whose answer is known."""

from __future__ import annotations

import asyncio
import json
import math
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ponder.backends.models import SMOLLM2
from ponder.backends.prefix_tree import Reduced
from ponder.cli import main
from ponder.cli.train_verifier import own_model
from ponder.engines.scripted import tokens_of
from ponder.errors import UsageError
from ponder.evals.bootstrap import Estimated
from ponder.report.training import training_lines
from ponder.training import held_out
from ponder.training.base_model import BaseModel
from ponder.training.feature_files import FeatureFiles
from ponder.training.graded_runs import GradedProblem, GradedRun, distinct, read_graded
from ponder.training.heads import value_head
from ponder.training.held_out import Predict, Predicted
from ponder.training.learning_rows import ReadProblem, drawn_rate, rows_of
from ponder.training.metrics import Judged, area_of
from ponder.training.rows import Vector
from ponder.training.settings import HeadSettings, TrainingReport
from ponder.training.split import part_of
from ponder.training.train import Training
from ponder.types import Prefix, Problem, ScoreFailure
from ponder.verifiers.head_config import BaseOf
from ponder.verifiers.head_file import ValueHead
from ponder.verifiers.reading import step_texts
from ponder.verifiers.state_reader import SolutionStates
from tests.playing import drawn
from tests.test_rescore import UNASKED, pool_run

WIDTH = 12
PROBLEMS = 60
TAUGHT = 40
"""Of them, where the others judge."""


def telling(prefix: Prefix, seed: int) -> str:
    """Two steps, each good or bad; mostly right after two good ones and wrong after two bad."""
    rng = drawn("telling", prefix.key, seed)
    steps = [rng.choice(("good", "bad")) for _ in range(2)]
    chance = {0: 0.05, 1: 0.5, 2: 0.95}[steps.count("good")]
    answer = 7 if rng.random() < chance else rng.randint(0, 6)
    return "".join(f"A {word} step {rng.randint(0, 30)}.\n\n" for word in steps) + (
        f"The answer is {answer}."
    )


def plays(prefix: Prefix, seed: int) -> str:
    """The same, going on from where the prefix stands."""
    whole = telling(Prefix.root(prefix.problem), seed)
    return "\n\n".join(whole.split("\n\n")[prefix.depth :])


def guesses(prefix: Prefix, seed: int) -> str:
    """Words that say nothing of the answer."""
    rng = drawn("guesses", prefix.key, seed)
    return f"A step {rng.randint(0, 9)}.\n\nThe answer is {rng.choice((7, 3))}."


@dataclass
class WordStates:
    """A vector a word that depends on the word alone: a fake of a model's hidden states."""

    layers: Sequence[int]
    read: list[str] = field(default_factory=list)
    fails_at: int | None = None

    async def reduced(
        self,
        problem: Problem,
        prefixes: Sequence[Prefix],
        reduce: Callable[[SolutionStates], Reduced],
    ) -> list[Reduced | ScoreFailure]:
        if self.fails_at is not None and len(self.read) >= self.fails_at:
            raise RuntimeError("killed")
        self.read.append(problem.id)
        await asyncio.sleep(0)
        return [self._reduced(problem, prefix, reduce) for prefix in prefixes]

    async def aclose(self) -> None:
        pass

    def _reduced(
        self, problem: Problem, prefix: Prefix, reduce: Callable[[SolutionStates], Reduced]
    ) -> Reduced:
        states = self.read_alone(problem, prefix)
        outputs = weakref.ref(states.outputs)
        reduced = reduce(states)
        del states
        assert outputs() is None, "what is kept of a solution is not its states"
        return reduced

    def read_alone(self, problem: Problem, prefix: Prefix) -> SolutionStates:
        words = tokens_of(problem.question)
        start, ends = len(words), []
        for text in step_texts(prefix):
            words += [word for word in tokens_of(text) if "answer" not in word]
            ends.append(len(words))
        rows = [np.concatenate([vector(word, layer) for layer in self.layers]) for word in words]
        return SolutionStates(np.array(rows, dtype=np.float32), start, tuple(ends))


def vector(word: str, layer: int) -> np.ndarray:
    bare = word.strip().strip(".0123456789")
    return np.random.default_rng(zlib.crc32(f"{bare}{layer}".encode())).standard_normal(WIDTH)


class Silent:
    def expect(self, solutions: int) -> None:
        pass

    def advance(self, solutions: int) -> None:
        pass


def base(states: Callable[[Sequence[int]], WordStates], layers: Sequence[int] = (3,)) -> BaseModel:
    of = BaseOf(name="words", sha256="0" * 64, weights="f32")
    return BaseModel(of, "fake 1", "f32", tuple(layers), states)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of both scripts over the same problems, graded."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "data.jsonl"
    rows = [
        {"id": f"p{i}", "problem": f"What is it, number {i}?", "answer": "7"}
        for i in range(PROBLEMS)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for script in ("plays", "guesses"):
        words = ["run", "--engine", "scripted", "--model", f"tests.test_training_runs:{script}"]
        words += ["--dataset", str(data), "--n", "12", "-o", str(folder / script), "--json"]
        assert ponder(*words) == 0
    return folder


def ponder(*words: object) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


async def train(
    run: GradedRun, folder: Path, states: Callable[[Sequence[int]], WordStates], **settings: object
) -> TrainingReport:
    chosen = HeadSettings(**settings)  # type: ignore[arg-type]
    report = await Training([run], base(states), folder, chosen, Silent()).train()
    assert report is not None
    return report


@pytest.fixture(scope="module")
def trained(sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingReport:
    run = read_graded(sampled / "plays")
    return asyncio.run(train(run, tmp_path_factory.mktemp("head"), WordStates))


async def test_a_head_learns_what_tells_right_from_wrong(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    report = await train(run, tmp_path, WordStates)
    held_out = report["held_out"]
    # P(right | 0, 1, 2 good) is about 0.05, 0.5, 0.95, weights 1/4, 1/2, 1/4: AUC 0.85.
    assert held_out["solutions"]["auc"]["value"] == pytest.approx(0.85, abs=0.07)
    assert held_out["better_than_chance"]
    assert held_out["solutions"]["brier"] < held_out["solutions"]["brier_of_base_rate"] - 0.05
    (selection,) = held_out["selection"].values()
    assert set(selection["curves"]) == {"majority", "best_of_n", "weighted", "oracle"}
    best = selection["curves"]["best_of_n"]["12"]["accuracy"]
    assert best > selection["curves"]["majority"]["1"]["accuracy"] + 0.2
    assert json.loads((tmp_path / "report.json").read_text())["held_out"] == held_out
    head = ValueHead.load(tmp_path)
    assert head.config.training.auc == held_out["steps"]["auc"]["value"]
    assert head.config.training.better_than_chance
    told = "\n".join(training_lines(report))
    assert f"AUC of solutions    {held_out['solutions']['auc']['value']:.3f}" in told
    assert "weighted minus majority at 12" in told
    assert "no better than chance" not in told
    assert head.config.training.better_within_problems
    held_out["better_within_problems"] = False
    assert any("it cannot choose" in line for line in training_lines(report))
    held_out["solutions"]["auc_within"] = Estimated(value=0.9, ci_low=None, ci_high=None)
    assert any("too few held-out problems ended both" in line for line in training_lines(report))
    assert head.config.labels == "outcome"


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (0.45, 0.7, "the interval of its AUC holds 0.5."),
        (0.2, 0.4, "the interval of its AUC lies below 0.5."),
        (None, None, "the held-out problems are too few, or too alike, to say otherwise."),
    ],
)
async def test_why_a_head_is_no_better_than_chance_is_told(
    trained: TrainingReport, low: float | None, high: float | None, why: str
) -> None:
    report = deepcopy(trained)
    report["held_out"]["better_than_chance"] = False
    report["held_out"]["solutions"]["auc"] = Estimated(value=0.3, ci_low=low, ci_high=high)
    assert f"This head counts as no better than chance: {why}" in list(training_lines(report))


def test_fewer_than_five_problems_that_ended_both_ways_count_as_no_better(
    sampled: Path,
) -> None:
    run = read_graded(sampled / "plays")
    mixed = [p for p in run.problems if 0 < sum(p.right) < len(p.right)]
    alike = [replace(p, right=(True,) * len(p.right)) for p in run.problems if p not in mixed[:4]]

    def judged(problems: Sequence[GradedProblem]) -> bool | None:
        told = [
            Predicted(ReadProblem(p, number, np.empty((0, 1), np.float32), ()), by_outcome(p))
            for number, p in enumerate(problems)
        ]
        found = held_out.judge(told, [], labels=None, base_rate=0.5, seed=0)
        return found["better_within_problems"]

    assert judged([*mixed[:4], *alike]) is False
    assert judged(mixed) is True
    assert judged(alike) is None


def by_outcome(problem: GradedProblem) -> Vector:
    """Of each step: higher where more of the solutions through it ended right."""
    scores = np.full(len(problem.steps.paths), 0.1)
    for way, right in zip(problem.steps.ways, problem.right, strict=True):
        scores[list(way)] = np.maximum(scores[list(way)], 0.9 * right)
    return scores


async def test_noise_is_saved_and_marked(sampled: Path, tmp_path: Path) -> None:
    report = await train(read_graded(sampled / "guesses"), tmp_path, WordStates)
    assert not report["held_out"]["better_than_chance"]
    assert ValueHead.load(tmp_path).config.training.better_than_chance is False
    assert any("no better than chance" in line for line in training_lines(report))


async def test_a_hidden_layer_is_saved_as_it_was_judged(sampled: Path, tmp_path: Path) -> None:
    report = await train(read_graded(sampled / "plays"), tmp_path, WordStates, hidden=8)
    head = ValueHead.load(tmp_path)
    assert [layer.weight.shape for layer in head.dense] == [(2 * WIDTH, 8), (8, 1)]
    assert report["held_out"]["better_than_chance"]


async def test_with_folds_every_problem_is_judged_by_a_head_that_was_not_taught_it(
    sampled: Path, tmp_path: Path
) -> None:
    run = read_graded(sampled / "plays")
    report = await train(run, tmp_path, WordStates, folds=4, hidden=8)
    assert report["problems"] == dict.fromkeys(report["problems"], PROBLEMS)
    (selection,) = report["held_out"]["selection"].values()
    assert selection["problems"] == report["held_out"]["problems"] == PROBLEMS
    assert report["held_out"]["solutions"]["auc"]["value"] == pytest.approx(0.85, abs=0.05)
    head = ValueHead.load(tmp_path)
    assert [layer.weight.shape for layer in head.dense] == [(2 * WIDTH, 4 * 8), (4 * 8, 1)]
    assert len(report["search"]) == len(report["calibration"]) == 4
    told = "\n".join(training_lines(report))
    assert f"4 heads, averaged: each trained on 2/4 of {PROBLEMS} problems" in told


Item = tuple[float, float, int]
"""What a solution's last step scores, whether it is right, and the number of its problem."""


def ends_of(problem: ReadProblem, scores: Vector) -> Iterator[Item]:
    for candidate in problem.problem.counted:
        end = problem.problem.steps.ways[candidate][-1]
        yield scores[end], problem.problem.right[candidate], problem.number


def area_by_hand(items: Sequence[Item]) -> float | None:
    scores, right, numbers = np.array(items, dtype=np.float64).T
    return area_of(Judged(scores, right, numbers.astype(np.int64)))


@pytest.mark.parametrize("folds", [0, 3])
async def test_another_run_judges_by_the_problems_that_are_not_taught(
    folds: int, sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = list[str]()

    def counting(problems: Sequence[ReadProblem], predict: Predict) -> list[Predicted]:
        predicted.extend(problem.problem.id for problem in problems)
        return held_out.predicted(problems, predict)

    monkeypatch.setattr("ponder.training.train.predicted", counting)
    whole = read_graded(sampled / "plays")
    taught = replace(whole, folder=tmp_path / "taught", problems=whole.problems[:TAUGHT])
    settings = HeadSettings(folds=folds)
    training = Training([taught], base(WordStates), tmp_path, settings, Silent(), judges=[whole])
    report = await training.train()
    assert report is not None
    assert report["held_out_runs"] == [str(whole.folder)]
    assert report["problems"]["held_out"] == PROBLEMS - TAUGHT
    assert (
        report["problems"]["train"] + (0 if folds else report["problems"]["validation"]) == TAUGHT
    )
    [(run, selection)] = report["held_out"]["selection"].items()
    assert (run, selection["problems"]) == (str(whole.folder), PROBLEMS - TAUGHT)
    assert report["held_out"]["solutions"]["auc"]["value"] == pytest.approx(0.85, abs=0.1)
    # The figures are the saved head's.
    head, items = ValueHead.load(tmp_path), list[Item]()
    problems, judging, _ = training._read()
    assert {p.problem.id for p in problems}.isdisjoint(p.problem.id for p in judging)
    assert {predicted.count(problem.problem.id) for problem in judging} == {1}
    for problem in judging:
        items += ends_of(problem, head.predict(problem.features))
    area = area_by_hand(items)
    assert report["held_out"]["solutions"]["auc"]["value"] == pytest.approx(area, abs=1e-6)
    told = "\n".join(training_lines(report))
    assert f" of {whole.folder}: {PROBLEMS - TAUGHT} problems" in told
    assert f"each trained on 2/3 of {TAUGHT} problems" in told or not folds


async def test_a_run_without_other_problems_cannot_judge(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    training = Training([run], base(WordStates), tmp_path, HeadSettings(), Silent(), judges=[run])
    with pytest.raises(UsageError, match="every problem is among those to train on"):
        await training.train()


async def test_folds_find_nothing_in_noise(sampled: Path, tmp_path: Path) -> None:
    report = await train(read_graded(sampled / "guesses"), tmp_path, WordStates, folds=5)
    assert not report["held_out"]["better_than_chance"]


async def test_one_head_of_several_judges_as_it_would_alone(sampled: Path, tmp_path: Path) -> None:
    """The figures are of what each head says of its own fold, put together by hand."""
    run = read_graded(sampled / "plays")
    training = Training([run], base(WordStates), tmp_path, HeadSettings(folds=3), Silent())
    report = await training.train()
    assert report is not None
    problems, judging, names = training._read()
    assert not judging
    items = list[Item]()
    for parts in training._splits(problems, judging, names):
        numbers = training._fitted(parts, names).head.numbers
        taught = value_head(training.base, training.settings, numbers, training._figures(parts))
        for problem in parts["held_out"]:
            items += ends_of(problem, taught.predict(problem.features))
    area = area_by_hand(items)
    assert report["held_out"]["solutions"]["auc"]["value"] == pytest.approx(area, abs=1e-6)


async def test_problems_never_cross_the_split(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    report = await train(run, tmp_path, WordStates, seed=5)
    parts = [part_of(problem.id, 5) for problem in run.problems]
    assert report["problems"] == {part: parts.count(part) for part in report["problems"]}
    assert sum(report["problems"].values()) == PROBLEMS
    (selection,) = report["held_out"]["selection"].values()
    assert selection["problems"] == parts.count("held_out")


async def test_one_question_under_two_ids_never_crosses_the_split(
    sampled: Path, tmp_path: Path
) -> None:
    run = read_graded(sampled / "plays")
    twins = [
        replace(p, example=replace(p.example, problem=replace(p.example.problem, id=f"z{p.id}")))
        for p in run.problems
    ]
    both = replace(run, problems=(*run.problems, *twins))
    alone = await train(run, tmp_path / "alone", WordStates)
    report = await train(both, tmp_path / "both", WordStates)
    assert report["problems"] == alone["problems"]
    assert report["solutions"]["train"] == alone["solutions"]["train"]


async def test_several_questions_under_one_id_are_several_problems(
    sampled: Path, tmp_path: Path
) -> None:
    """Two data sets whose ids are row numbers: they are compared within a question alone."""
    run = read_graded(sampled / "plays")
    others = [
        replace(
            p,
            example=replace(
                p.example, problem=replace(p.example.problem, question=f"{p.id}, but other")
            ),
        )
        for p in run.problems
    ]
    both = replace(run, problems=(*run.problems, *others))
    alone = await train(run, tmp_path / "alone", WordStates)
    report = await train(both, tmp_path / "both", WordStates)
    assert report["problems"] == {part: 2 * count for part, count in alone["problems"].items()}


async def test_features_are_read_once_and_reading_goes_on(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    opened: list[WordStates] = []

    def opens(fails_at: int | None) -> Callable[[Sequence[int]], WordStates]:
        def open_it(layers: Sequence[int]) -> WordStates:
            opened.append(WordStates(layers, fails_at=fails_at))
            return opened[-1]

        return open_it

    with pytest.raises(ExceptionGroup):
        await train(run, tmp_path, opens(20))
    first = await train(run, tmp_path, opens(None))
    assert len(opened[0].read) == 20
    assert PROBLEMS - 20 <= len(opened[1].read) <= PROBLEMS - 20 + 4
    again = await train(run, tmp_path, opens(None))
    assert len(opened) == 2
    assert again["held_out"] == first["held_out"]
    other = await train(run, tmp_path, opens(None), features="recent")
    assert len(opened) == 2
    assert other["held_out"] != first["held_out"]


async def test_temperatures_of_voting_are_tried_on_the_validation_problems(
    sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "TEMPERATURES", (1e4, 1.0, 0.2))
    run = read_graded(sampled / "plays")
    report = await train(run, tmp_path, WordStates, folds=3)
    found = report["validation"]["voting"][str(run.folder)]
    assert found["majority"] is not None
    # With folds each problem is among the validation problems of one head, and held out by another.
    curves = report["held_out"]["selection"][str(run.folder)]["curves"]
    assert found["majority"] == pytest.approx(curves["majority"]["12"]["accuracy"])
    # A majority vote whose ties go to the better scores.
    assert found["majority"] <= found["weighted"]["10000"] < found["majority"] + 0.05
    assert found["weighted"]["1"] > found["majority"] + 0.05
    assert found["weighted"]["0.2"] > found["weighted"]["10000"]


async def test_heads_share_a_cache(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    opened = []

    def opens(layers: Sequence[int]) -> WordStates:
        opened.append(WordStates(layers))
        return opened[-1]

    better = []
    for features in ("last", "mean"):
        settings = HeadSettings(features)
        head = tmp_path / features
        report = await Training(
            [run], base(opens), head, settings, Silent(), tmp_path / "cache"
        ).train()
        assert report is not None
        assert {path.name for path in head.iterdir()} == {
            "head.json",
            "head.safetensors",
            "report.json",
        }
        validation = report["validation"]
        better.append(validation["loss_of_base_rate"] - validation["loss"])
    assert len(opened) == 1
    # The last word of a step is its number; the words before it tell good steps from bad ones.
    assert better[0] < 0.02 < 0.05 < better[1]


async def test_stopping_keeps_what_is_read(sampled: Path, tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    run = read_graded(sampled / "plays")
    training = Training([run], base(WordStates), tmp_path, HeadSettings(), Silent(), stop=stop)
    assert await training.train() is None


async def test_a_full_disk_is_no_group_of_errors(
    sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "features")

    monkeypatch.setattr(FeatureFiles, "save", full)
    with pytest.raises(OSError, match="No space left on device: 'features'"):
        await train(read_graded(sampled / "plays"), tmp_path, WordStates)


async def test_layers_side_by_side_are_read_as_they_are_served(
    sampled: Path, tmp_path: Path
) -> None:
    run = read_graded(sampled / "plays")
    one = await train(run, tmp_path, WordStates)
    settings = HeadSettings()
    both = Training([run], base(WordStates, (5, 3)), tmp_path, settings, Silent())
    report = await both.train()
    assert report is not None
    assert report["layers"] == [5, 3]
    assert ValueHead.load(tmp_path).states_width == 2 * WIDTH
    states = WordStates((5, 3))
    problem = run.problems[0]
    from ponder.verifiers.head_file import step_features

    found = states.read_alone(problem.example.problem, problem.prefixes[0])
    wanted = step_features(found.outputs, found.start, found.ends, "last+mean")
    kept = both._files.load(problem, (5, 3), "last+mean")
    np.testing.assert_allclose(kept[list(problem.steps.ways[0])], wanted, rtol=1e-5)
    assert one["layers"] == [3]


def test_equal_texts_of_a_problem_are_learned_once(sampled: Path) -> None:
    run = read_graded(sampled / "guesses")
    own = distinct(run.problems)
    for problem, chosen in zip(run.problems, own, strict=True):
        texts = {step_texts(problem.prefixes[number]) for number in chosen}
        assert len(texts) == len(chosen) == len({step_texts(p) for p in problem.prefixes})
    assert distinct([*run.problems, *run.problems])[len(run.problems) :] == [()] * PROBLEMS


def test_every_solution_counts_alike(sampled: Path) -> None:
    problem = read_graded(sampled / "plays").problems[0]
    features = np.zeros((len(problem.steps.paths), 1), dtype=np.float32)
    read = ReadProblem(problem, 0, features, tuple(range(12)))
    rows = rows_of(read, range(12), None)
    assert rows.weights.sum() == pytest.approx(12)
    assert rows.base_rate == pytest.approx(sum(problem.right) / 12)
    for way, right in zip(problem.steps.ways, problem.right, strict=True):
        only = rows_of(read, [problem.steps.ways.index(way)], None)
        assert set(only.targets) == {float(right)}


def twins(prefix: Prefix, seed: int) -> str:
    """One right text whatever is drawn, and wrong ones of their own, as many of each."""
    if drawn("twins", prefix.key, seed).random() < 0.5:
        return "The answer is 7."
    return f"No {seed}.\n\nThe answer is 3."


def test_the_base_rate_is_of_candidates_as_they_were_drawn(sampled: Path, tmp_path: Path) -> None:
    words = ["run", "--engine", "scripted", "--model", "tests.test_training_runs:twins"]
    words += ["--dataset", str(sampled / "data.jsonl"), "--n", "20"]
    assert ponder(*words, "-o", tmp_path / "run") == 0
    run = read_graded(tmp_path / "run")
    report = asyncio.run(train(run, tmp_path / "head", WordStates))
    assert report["base_rate"] == pytest.approx(0.5, abs=0.05)
    assert report["held_out"]["solutions"]["brier_of_base_rate"] == pytest.approx(0.25, abs=0.005)
    assert report["validation"]["loss_of_base_rate"] == pytest.approx(math.log(2), abs=0.01)
    features = [np.zeros((len(p.steps.paths), 1), dtype=np.float32) for p in run.problems]
    read = [
        ReadProblem(p, n, own, distinct([p])[0])
        for n, (p, own) in enumerate(zip(run.problems, features, strict=True))
    ]
    right = [fact for problem in run.problems for fact in problem.right]
    assert drawn_rate(read, None) == pytest.approx(sum(right) / len(right))


def test_ends_give_their_share_of_the_weight_to_last_steps(sampled: Path) -> None:
    problem = read_graded(sampled / "plays").problems[0]
    way = problem.steps.ways[0]
    features = np.arange(len(problem.steps.paths), dtype=np.float32)[:, None]
    read = ReadProblem(problem, 0, features, (0,))
    rows = rows_of(read, [0], None, ends=0.5)
    weights = dict(zip(rows.features[:, 0].astype(int), rows.weights, strict=True))
    assert len(way) > 1
    assert weights == pytest.approx(
        {step: 0.5 / len(way) + 0.5 * (step == way[-1]) for step in way}
    )
    alone = rows_of(read, [0], None, ends=1.0)
    assert alone.weights.tolist() == [1.0]
    assert alone.targets.tolist() == [float(problem.right[0])]
    with pytest.raises(UsageError, match=r"`ends` must be from 0 to 1, got 1\.5"):
        HeadSettings(ends=1.5)


def test_step_labels_replace_the_outcome_of_inner_steps(sampled: Path) -> None:
    problem = read_graded(sampled / "plays").problems[0]
    way, paths = problem.steps.ways[0], problem.steps.paths
    read = ReadProblem(problem, 0, np.zeros((len(paths), 1), dtype=np.float32), (0,))
    rows = rows_of(read, [0], {(problem.id, paths[way[0]]): 0.25})
    assert sorted(rows.targets) == sorted([0.25, float(problem.right[0])])


async def test_too_few_problems_say_so(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays", limit=1)
    with pytest.raises(UsageError, match="too few problems to split"):
        await train(run, tmp_path, WordStates)


async def test_more_folds_than_problems_name_the_folds(sampled: Path, tmp_path: Path) -> None:
    run = read_graded(sampled / "plays")
    told = r"by `folds` 100 \(.*\), or .*: take fewer folds, or sample more problems"
    with pytest.raises(UsageError, match=told):
        await train(run, tmp_path, WordStates, folds=100)


def test_a_problem_judges_where_a_solution_is_read_to_its_end(sampled: Path) -> None:
    problem = read_graded(sampled / "plays").problems[0]
    features = np.full((len(problem.steps.paths), 1), np.nan, dtype=np.float32)
    assert not ReadProblem(problem, 0, features, (0,)).judges
    features[problem.steps.ways[problem.counted[0]][-1]] = 1
    assert ReadProblem(problem, 0, features, (0,)).judges


def test_a_run_that_a_rule_stopped_early_has_no_majority_to_compare_with(
    sampled: Path, tmp_path: Path
) -> None:
    words = ["run", "--engine", "scripted", "--model", "tests.test_training_runs:plays"]
    words += ["--dataset", str(sampled / "data.jsonl"), "--n", "12"]
    for setting in ("selector=weighted", "knobs.stopping=exact", "knobs.wave=2"):
        words += ["--set", setting]
    words += ["--verifier", "random"]
    assert ponder(*words, "-o", tmp_path / "run") == 0
    report = asyncio.run(train(read_graded(tmp_path / "run"), tmp_path, WordStates))
    (selection,) = report["held_out"]["selection"].values()
    assert selection["weighted_minus_majority"] is None
    (found,) = report["validation"]["voting"].values()
    assert found["majority"] is None
    assert ponder("eval-verifier", "--verifier", "random", tmp_path / "run") == 0


def test_the_head_that_ships_is_small_and_better_than_chance() -> None:
    folder = Path(str(files("ponder.data") / "heads" / "smollm2-135m"))
    config = ValueHead.load(folder).config
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    assert config.base.sha256 == SMOLLM2.sha256
    assert config.training.data.startswith("grade-school-tune")
    report = json.loads((folder / "report.json").read_text())
    assert report["held_out"]["better_than_chance"]
    assert report["held_out"]["steps"]["auc"]["value"] == config.training.auc


def test_a_run_without_grades_names_the_mend(
    sampled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil
    import sqlite3

    bare = tmp_path / "bare"
    shutil.copytree(sampled / "plays", bare)
    with sqlite3.connect(bare / "run.sqlite") as connection:
        connection.execute("DELETE FROM grades")
    capsys.readouterr()
    for words in (
        ["train-verifier", bare, "-o", tmp_path / "x"],
        ["label", bare, "-o", tmp_path / "l"],
    ):
        assert ponder(*words) == 2
        line = capsys.readouterr().err
        assert f"grade it first: ponder grade {bare}" in line
        assert len(line.strip().splitlines()) == 1


def test_nothing_is_learnt_from_candidates_without_questions(
    sampled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = asyncio.run(pool_run(tmp_path, UNASKED))
    capsys.readouterr()
    for words in ([bare], [sampled / "plays", "--held-out", bare]):
        assert ponder("train-verifier", *words, "-o", tmp_path / "x") == 2
        line = capsys.readouterr().err
        assert f"{bare} holds no questions: import it again with `--dataset`" in line


def test_the_model_that_is_read_is_the_runs_own_where_it_runs_here(sampled: Path) -> None:
    run = read_graded(sampled / "plays")
    local = replace(run, study={"engine": "vllm", "model": "made/tiny"})
    assert own_model([local, local]) == "made/tiny"
    other = replace(run, study={"engine": "vllm", "model": "made/large"})
    for runs in ([run], [local, other]):
        with pytest.raises(UsageError, match="name the model to read with by `--model`"):
            own_model(runs)
