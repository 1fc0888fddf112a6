"""Monte-Carlo step labels: counts that are known, resuming, formats."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.answers.registry import answer_kind
from ponder.engines.scripted import Reply, ScriptedEngine
from ponder.errors import StoreError, UsageError
from ponder.evals.grading import Grader
from ponder.evals.grading_kinds import grading_of
from ponder.session import Slots
from ponder.training.graded_runs import GradedProblem, GradedRun, read_graded
from ponder.training.label_formats import read_labels, write_labels
from ponder.training.label_log import Counted, LabelLog
from ponder.training.rollouts import Labelled, Labeller, steps_of
from ponder.types import Completion, Prefix, Sampling, Step
from tests.playing import drawn
from tests.test_cli import ponder

SHARE = {"good": 0.75, "bad": 0.25}
"""How often a completion from a step ends right."""


def goes_on(prefix: Prefix, seed: int) -> str:
    """A step, then an answer that is right as often as the last step says."""
    rng = drawn("goes on", prefix.key, seed)
    if not prefix.depth:
        word = rng.choice(("good", "bad"))
        return f"A {word} step.\n\nThe answer is {7 if rng.random() < SHARE[word] else 3}."
    word = prefix.steps[-1].text.split()[1]
    return f"The answer is {7 if rng.random() < SHARE[word] else 3}."


def slowly(prefix: Prefix, seed: int) -> str:
    if prefix.depth:
        time.sleep(0.02)
    return goes_on(prefix, seed)


def fails(prefix: Prefix, seed: int) -> str | Reply:
    said = goes_on(prefix, seed)
    return Reply(said, error="out of memory") if prefix.depth and seed % 2 else said


def often_huge(prefix: Prefix, seed: int) -> str:
    if prefix.depth and seed % 2:
        return "The answer is 7^{7^{7^7}}."
    return "The answer is 7." if prefix.depth else goes_on(prefix, seed)


class Silent:
    def expect(self, solutions: int) -> None:
        pass

    def advance(self, solutions: int) -> None:
        pass


def sampled(folder: Path, script: str = "goes_on", problems: int = 6) -> Path:
    data = folder / "data.jsonl"
    rows = [{"id": f"p{i}", "problem": f"What is {i}?", "answer": "7"} for i in range(problems)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["run", "--engine", "scripted", "--model", f"tests.test_training_labels:{script}"]
    assert ponder(*words, "--dataset", data, "--n", 4, "-o", folder / "run", "--json") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(tmp_path_factory.mktemp("labels"))


@pytest.fixture
def run(built: Path, tmp_path: Path) -> GradedRun:
    """A run of its own for each test, in `tmp_path`."""
    shutil.copytree(built, tmp_path / "run")
    return read_graded(tmp_path / "run")


async def labelled(
    run: GradedRun,
    script: Callable[[Prefix, int], str | Reply] = goes_on,
    *,
    k: int = 40,
    slots: int = 16,
    identity: str = "scripted",
    engine: ScriptedEngine | None = None,
) -> tuple[Labelled, dict[tuple[str, tuple[str, ...]], Counted], ScriptedEngine]:
    engine = engine or ScriptedEngine(script, slots=slots, identity=identity)
    answers = answer_kind("math")
    shared = Slots(slots)
    async with Grader() as grader, grading_of(answers, grader) as grading:
        with LabelLog(run.folder, k, 0, identity) as log:
            labeller = Labeller(engine, shared, Sampling(), answers, grading, log, Silent())
            done = await labeller.label(run)
    answers.close()
    assert shared.free == slots
    assert engine.most_running <= slots
    return done, log.known, engine


async def test_the_share_is_how_often_completions_end_right(run: GradedRun) -> None:
    done, known, engine = await labelled(run, k=200)
    distinct = {(one.problem.id, one.step) for one in steps_of(run)}
    assert done == (len(distinct), 0, len(distinct), 0, None, 0)
    assert set(known) == distinct
    assert engine.calls == 200 * len(distinct)
    for (_, step), counted in known.items():
        assert counted.completions == 200
        assert counted.value == pytest.approx(SHARE[step[-1].split()[1]], abs=0.12)


async def test_steps_that_solutions_share_are_labelled_once(run: GradedRun) -> None:
    steps = [(one.problem.id, one.step) for one in steps_of(run)]
    assert len(steps) == len(set(steps)) < 4 * 6
    for one in steps_of(run):
        assert tuple(step.text.rstrip() for step in one.prefix.steps) == one.step


async def test_labelling_again_draws_nothing(run: GradedRun) -> None:
    first, known, _ = await labelled(run)
    again, same, engine = await labelled(run)
    assert (again.kept, again.added, engine.calls) == (first.added, 0, 0)
    assert same == known


async def test_more_completions_than_slots(run: GradedRun) -> None:
    done, known, _ = await labelled(run, k=7, slots=3)
    assert done.failed == 0
    assert {counted.completions for counted in known.values()} == {7}


async def test_failed_completions_do_not_count(run: GradedRun) -> None:
    done, known, _ = await labelled(run, fails)
    assert done.reason == "out of memory"
    assert all(0 < counted.completions < 40 for counted in known.values())
    assert done.failed == 0


async def test_completions_that_cannot_be_graded_do_not_count(run: GradedRun) -> None:
    done, known, _ = await labelled(run, often_huge)
    assert all(0 < counted.right == counted.completions < 40 for counted in known.values())
    assert done.ungraded == sum(40 - counted.completions for counted in known.values()) > 0
    assert done.failed == 0
    assert done.reason == "tower of exponents of more than 2"


def test_labelling_says_how_many_completions_could_not_be_graded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sampled(tmp_path, "often_huge", problems=1)
    capsys.readouterr()
    assert ponder("label", run, "-k", 8, "-o", tmp_path / "labels.jsonl") == 0
    assert "completions could not be graded: tower of exponents" in capsys.readouterr().out


async def test_a_step_of_which_all_failed_is_tried_again(run: GradedRun) -> None:

    def broken(prefix: Prefix, seed: int) -> Reply:
        return Reply("", error="out of order")

    done, known, _ = await labelled(run, broken)
    assert (done.added, done.failed, known) == (0, done.steps, {})
    done, _, _ = await labelled(run)
    assert done.added == done.steps


class Limited(ScriptedEngine):
    """Remembers how many tokens each step's completions were allowed."""

    def __init__(self) -> None:
        super().__init__(goes_on)
        self.allowed: dict[bytes, int] = {}

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        self.allowed[prefix.key] = sampling.max_tokens
        async for completion in super().generate(prefix, sampling, seeds):
            yield completion


@pytest.mark.parametrize("told", [True, False])
async def test_completions_get_what_the_step_leaves_of_the_tokens(
    run: GradedRun, told: bool
) -> None:
    """Of the 7 tokens and 30 characters of a solution, its first step has 3 and 14."""
    if not told:
        run = replace(run, problems=tuple(map(without_ids, run.problems)))
    engine = Limited()
    _, known, _ = await labelled(run, k=3, engine=engine)
    lengths = {len(one.prefix.text): engine.allowed[one.prefix.key] for one in steps_of(run)}
    assert lengths == {len("A good step.\n\n"): 2048 - 3, len("A bad step.\n\n"): 2048 - 3}
    assert known


def without_ids(problem: GradedProblem) -> GradedProblem:
    prefixes = []
    for prefix in problem.prefixes:
        bare = Prefix.root(problem.example.problem)
        for step in prefix.steps:
            bare = bare.grow(Step(step.text))
        prefixes.append(bare)
    return replace(problem, prefixes=tuple(prefixes))


async def test_labels_of_another_model_are_refused(run: GradedRun) -> None:
    await labelled(run)
    with pytest.raises(StoreError, match="was made with engine 'scripted', not 'other'"):
        await labelled(run, identity="other")


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    with LabelLog(tmp_path, 8, 0, "e") as log:
        log.add("p", ("one",), Counted(3, 8))
        log.add("p", ("two",), Counted(4, 8))
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-5])
    with LabelLog(tmp_path, 8, 0, "e") as again:
        assert again.known == {("p", ("one",)): Counted(3, 8)}
        again.add("p", ("two",), Counted(4, 8))
    assert log.path.read_bytes() == whole


def test_damage_is_named(tmp_path: Path) -> None:
    with LabelLog(tmp_path, 8, 0, "e") as log:
        log.add("p", ("one",), Counted(3, 8))
    log.path.write_text(log.path.read_text() + "{}\n")
    with pytest.raises(StoreError, match="is damaged"), LabelLog(tmp_path, 8, 0, "e"):
        pass


def hashes(prefix: Prefix, seed: int) -> str:
    return f"A step {seed % 2}. ###\nThe answer is 7."


def test_labels_are_of_steps_without_their_separator(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"id": "p", "problem": "What?", "answer": "7"}))
    words = ["run", "--engine", "scripted", "--model", "tests.test_training_labels:hashes"]
    words += ["--set", "sampling.separator= ###\n", "--dataset", str(data), "--n", "8"]
    assert ponder(*words, "-o", tmp_path / "run") == 0
    run = read_graded(tmp_path / "run")
    known = {(one.problem.id, one.step): Counted(3, 4) for one in steps_of(run)}
    write_labels(tmp_path / "labels.jsonl", run, known, "trl")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    found = sorted(row["completions"] for row in rows)
    assert found == [[f"A step {number}.", "The answer is 7."] for number in (0, 1)]


@pytest.mark.parametrize("hard", [False, True])
async def test_both_formats_come_back(run: GradedRun, tmp_path: Path, hard: bool) -> None:
    _, known, _ = await labelled(run, k=3)
    expected = {key: counted.value for key, counted in known.items()}
    for problem in run.problems:
        for way, right in zip(problem.steps.ways, problem.right, strict=True):
            expected[problem.id, problem.steps.paths[way[-1]]] = float(right)
    strict = {key: float(value > 0) for key, value in expected.items()}
    own, trl = tmp_path / "own.jsonl", tmp_path / "trl.jsonl"
    assert write_labels(own, run, known, "ponder") == write_labels(trl, run, known, "trl")
    assert read_labels(own, run.problems, hard=hard) == (strict if hard else expected)
    assert read_labels(trl, run.problems, hard=hard) == strict
    row = json.loads(trl.read_text().splitlines()[0])
    assert list(row) == ["prompt", "completions", "labels"]
    assert row["prompt"] == "What is 0?"
    assert all(isinstance(label, bool) for label in row["labels"])
    assert len(row["labels"]) == len(row["completions"])


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"id": "p0", "steps": ["a"], "values": []}',
        '{"id": "p0", "steps": ["a"], "values": [1.5]}',
        '{"prompt": "What is 0?", "labels": [true]}',
        '{"prompt": ["What is 0?"], "completions": ["a"], "labels": [true]}',
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(UsageError, match="line 1: not step labels"):
        read_labels(file, [], hard=False)


async def test_labels_of_other_samples_are_refused(run: GradedRun, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    other = {"id": "p0", "steps": ["never drawn"], "values": [1.0]}
    for text in ("", "\n", json.dumps(other) + "\n", json.dumps({**other, "id": "else"})):
        file.write_text(text)
        with pytest.raises(UsageError, match="no label of the training runs' steps: give the file"):
            read_labels(file, run.problems, hard=False)
    taught, judging = run.problems[:3], run.problems[3:]
    judged = [{"id": p.id, "steps": list(p.steps.paths[0]), "values": [0.5]} for p in judging]
    file.write_text("".join(json.dumps(row) + "\n" for row in judged))
    with pytest.raises(UsageError, match="no label of the training runs' steps"):
        read_labels(file, taught, judging, hard=False)
    problem = run.problems[0]
    own = {"id": problem.id, "steps": list(problem.steps.paths[0]), "values": [0.5]}
    listed = {**other, "id": ["p0"], "note": "a line\u2028of one row"}
    lines = ["", json.dumps(own), "", json.dumps(listed, ensure_ascii=False), json.dumps(other)]
    file.write_text("\n".join(lines) + "\n")
    assert read_labels(file, run.problems, hard=False)[problem.id, problem.steps.paths[0]] == 0.5


def test_a_killed_labelling_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sampled(tmp_path, "slowly", problems=12)
    words = ["label", str(run), "-k", "4", "-o", str(tmp_path / "labels.jsonl"), "--json"]
    program = "import sys; from ponder.cli import main; main(sys.argv[1:])"
    log = run / "labels" / "k=4-seed=0.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (log.exists() and log.stat().st_size > 300):
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    kept = len(log.read_bytes().splitlines()) - 1
    assert not (tmp_path / "labels.jsonl").exists()
    capsys.readouterr()
    assert ponder(*words) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < kept - 1 <= found["kept"] <= kept
    assert found["kept"] + found["added"] == found["steps"]
    assert found["solutions"] == len((tmp_path / "labels.jsonl").read_text().splitlines()) > 0


def test_bad_words_are_one_line(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = built
    pool = tmp_path / "pool.jsonl"
    assert ponder("export", "pool", run, "-o", pool) == 0
    assert ponder("import", "pool", pool, "-o", tmp_path / "imported") == 0
    capsys.readouterr()
    cases = {
        "give `-o LABELS.jsonl`": ["label", run],
        "imported pool": ["label", tmp_path / "imported", "-o", tmp_path / "l"],
        "is no run": ["label", tmp_path / "nothing", "-o", tmp_path / "l"],
        "give `-o DIR`": ["train-verifier", run],
        "pool.jsonl is a file, and a folder is wanted": ["train-verifier", run, "-o", pool],
        "pool.jsonl is a file": ["train-verifier", run, "-o", pool / "head" / "h"],
        f"{pool} is a file": ["train-verifier", run, "-o", tmp_path / "h", "--cache", pool],
        "got 'twenty'": ["train-verifier", run, "-o", tmp_path / "h", "--layers", "twenty"],
        "got 'no-such'": ["train-verifier", run, "-o", tmp_path / "h", "--labels", "no-such"],
        "at least 3, got 2": ["train-verifier", run, "-o", tmp_path / "h", "--folds", "2"],
        "give `--labels FILE`": ["train-verifier", run, "-o", tmp_path / "h", "--hard"],
        "by `--model`": ["train-verifier", run, "-o", tmp_path / "h"],
    }
    for message, words in cases.items():
        assert ponder(*words) in (1, 2)
        line = capsys.readouterr().err
        assert message in line
        assert len(line.strip().splitlines()) == 1
    assert not (tmp_path / "h").exists()
