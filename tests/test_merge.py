"""One study run on several machines, merged: the same as if one had run it all."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest

from ponder.cli import main
from ponder.evals.planning import RUNNING
from ponder.store.reading import RunReader
from tests.test_exchange import SAL, lines

QUESTIONS = [{"id": f"q{i}", "problem": f"What is {i}?", "answer": str(i % 5)} for i in range(4)]
FIRST, SECOND = ("q0", "q1"), ("q2", "q3")


def ponder(*words: object) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert ponder("merge", *words) in (1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def part(folder: Path, data: Path, ids: tuple[str, ...], *words: object) -> Path:
    """A run over these problems; none: over all."""
    recipe = folder.parent / f"{folder.name}.toml"
    recipe.write_text(f"[study]\nids = {json.dumps(ids)}\n")
    play = ("--engine", "scripted", "--model", "tests.playing:reasons")
    scored = ("--verifier", "tests.playing:judged")
    given = ("run", recipe, *play, *scored, "--n", 4, "--dataset", data, "-o", folder, *words)
    assert ponder(*given) == 0
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of both halves and of the whole, for the tests to copy."""
    folder = tmp_path_factory.mktemp("made")
    data = lines(folder / "data.jsonl", *QUESTIONS)
    for name, ids in (("a", FIRST), ("b", SECOND), ("whole", ())):
        part(folder / name, data, ids)
    return folder


@pytest.fixture
def halves(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    for name in ("a", "b"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def report(capsys: pytest.CaptureFixture[str], folder: Path) -> Any:
    capsys.readouterr()
    assert ponder("report", folder, "--json") == 0
    return json.loads(capsys.readouterr().out)


def calls(*folders: Path) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for folder in folders:
        with sqlite3.connect(folder / "run.sqlite") as file:
            sql = "SELECT problem_id, path, kind, identity, request, content, failed FROM calls"
            found |= set(file.execute(sql))
        file.close()
    return found


def test_merged_halves_are_the_whole(
    tmp_path: Path, made: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    whole, merged = made / "whole", tmp_path / "merged"
    for half in halves:
        assert ponder("score", half, "--verifier", "arithmetic") == 0
    capsys.readouterr()
    assert ponder("merge", *halves, "-o", merged, "--json") == 0
    told = {"problems": 4, "finished": 4, "run": str(merged)}
    assert json.loads(capsys.readouterr().out) == told
    found, expected = report(capsys, merged), report(capsys, whole)
    for figure in ("curves", "first_n", "n_problems", "failed", "grades"):
        assert found[figure] == expected[figure]
    assert calls(merged) == calls(*halves)
    with RunReader(merged) as one, RunReader(whole) as other:
        assert one.digests() == other.digests()
        assert one.examples() == other.examples()
        assert one.grades("ours") == other.grades("ours")
        assert len(one.added_scores("arithmetic")) == 16
        assert one.provenance()["engine"] == other.provenance()["engine"]
        machines = one.provenance()["merged"]
    with RunReader(halves[0]) as first, RunReader(halves[1]) as second:
        seconds = [cast("float", run.provenance()[RUNNING]) for run in (first, second)]
    with RunReader(merged) as one:
        assert one.provenance()[RUNNING] == sum(seconds), "the pace is that of all their tokens"
    with RunReader(halves[1]) as second:
        opened = [json.loads(json.dumps(opening._asdict())) for opening in second.openings()]
    assert isinstance(machines, list)
    assert [machine["run"] for machine in machines] == ["a", "b"]
    assert machines[1]["openings"] == opened
    assert not list(tmp_path.glob(".merge-*"))


def test_a_merged_run_goes_on(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The merged recipe names all problems, and nothing that is there is done again."""
    merged = tmp_path / "merged"
    assert ponder("merge", *halves, "-o", merged) == 0
    before = calls(merged)
    words = ("--json", "-o", merged)
    capsys.readouterr()
    assert ponder("run", merged / "recipe.toml", *words) == 0
    assert json.loads(capsys.readouterr().out)["n_problems"] == 4
    assert calls(merged) == before
    assert ponder("run", merged / "recipe.toml", *words, "--n", 6) == 0
    assert list(report(capsys, merged)["first_n"]["majority"]) == ["1", "2", "4", "6"]


def test_problems_that_came_out_the_same_may_overlap(
    tmp_path: Path, made: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    overlapping = part(tmp_path / "c", made / "data.jsonl", ("q1", "q2", "q3"))
    merged = tmp_path / "merged"
    assert ponder("merge", halves[0], overlapping, "-o", merged) == 0
    assert report(capsys, merged)["n_problems"] == 4
    with sqlite3.connect(merged / "run.sqlite") as file:
        (count,) = file.execute("SELECT count(*) FROM calls").fetchone()
    file.close()
    assert count == len(calls(merged)) == len(calls(*halves)), "each call once"


def change(folder: Path, sql: str) -> None:
    with sqlite3.connect(folder / "run.sqlite") as file:
        file.execute(sql)
    file.close()


def test_an_unfinished_problem_brings_its_calls(
    tmp_path: Path, made: Path, halves: tuple[Path, Path]
) -> None:
    """What one machine began and another finished is finished; what nobody did goes on."""
    change(halves[0], "DELETE FROM traces")
    finished = part(tmp_path / "c", made / "data.jsonl", ("q1",))
    merged = tmp_path / "merged"
    assert ponder("merge", halves[0], finished, halves[1], "-o", merged) == 0
    assert calls(merged) == calls(*halves)
    with RunReader(merged) as run:
        assert run.finished() == {"q1", "q2", "q3"}
    assert ponder("run", merged / "recipe.toml", "-o", merged) == 0
    assert calls(merged) == calls(*halves), "the calls of q0 are answered from the log"


def test_a_problem_with_two_results_is_refused(
    tmp_path: Path, made: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = part(tmp_path / "c", made / "data.jsonl", FIRST)
    change(other, "UPDATE traces SET digest = 'another' WHERE problem_id = 'q1'")
    said = refused(capsys, halves[0], other, "-o", tmp_path / "merged")
    assert f"problem 'q1' came out differently in {halves[0]} and {other}" in said
    assert "leave one out" in said
    assert not (tmp_path / "merged").exists()
    assert not list(tmp_path.glob(".merge-*"))


def test_grades_that_contradict_each_other_are_refused(
    tmp_path: Path, made: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = part(tmp_path / "c", made / "data.jsonl", FIRST)
    change(other, "UPDATE grades SET correct = 1 - correct WHERE problem_id = 'q1'")
    said = refused(capsys, halves[0], other, "-o", tmp_path / "merged")
    assert "of problem 'q1' otherwise than a run before it: `ponder grade` both anew" in said
    assert ponder("grade", other) == 0
    assert ponder("merge", halves[0], other, "-o", tmp_path / "merged") == 0


def test_imported_grades_that_contradict_each_other_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No grading of ours changes them; the merged run is graded anew, and stands for itself."""
    for name, right in (("a", True), ("b", False)):
        candidate = {"text": "So \\boxed{5}", "correct": right}
        row = {"id": "q", "problem": "2 + 3?", "answer": "5", "candidates": [candidate]}
        source = lines(tmp_path / f"{name}.jsonl", row)
        assert ponder("import", "pool", source, "-o", tmp_path / name) == 0
    runs, merged = (tmp_path / "a", tmp_path / "b"), tmp_path / "merged"
    assert "leave them out with `--grades ours`" in refused(capsys, *runs, "-o", merged)
    assert ponder("merge", *runs, "-o", merged, "--grades", "ours") == 0
    assert ponder("grade", merged) == 0
    found = report(capsys, merged)
    assert (found["grades"], found["curves"]["oracle"]["1"]["accuracy"]) == ("ours", 1.0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seed", 3), "runs of different studies: seed is 0 there, 3 here"),
        (("--n", 5), "n is 4 there, 5 here"),
    ],
)
def test_another_study_is_refused(
    tmp_path: Path,
    made: Path,
    halves: tuple[Path, Path],
    words: tuple[object, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = part(tmp_path / "c", made / "data.jsonl", SECOND, *words)
    assert says in refused(capsys, halves[0], other, "-o", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_other_weights_under_the_same_name_are_refused(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change(
        halves[1], "UPDATE openings SET provenance = json_set(provenance, '$.engine.identity', 'x')"
    )
    said = refused(capsys, *halves, "-o", tmp_path / "merged")
    assert "had different models: engine is " in said
    assert "there, x here" in said


def test_another_problem_under_the_same_id_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, question in (("a", "2 + 3?"), ("b", "2 + 4?")):
        row = {**SAL, "unique_id": "p", "problem": question}
        assert (
            ponder("import", "sal", lines(tmp_path / f"{name}.jsonl", row), "-o", tmp_path / name)
            == 0
        )
    said = refused(capsys, tmp_path / "a", tmp_path / "b", "-o", tmp_path / "merged")
    assert "holds another problem under the id 'p'" in said


def test_parts_of_one_set_of_completions_are_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chunks of a set that several jobs made are files of their own."""
    rows = [{**SAL, "unique_id": f"p{i}", "problem": f"{i}?"} for i in range(4)]
    for name, some in (("a", rows[:2]), ("b", rows[2:])):
        source = lines(tmp_path / f"best_of_n--chunk-{name}.jsonl", *some)
        assert ponder("import", "sal", source, "-o", tmp_path / name) == 0
    merged = tmp_path / "merged"
    assert ponder("merge", tmp_path / "a", tmp_path / "b", "-o", merged) == 0
    assert ponder("export", "sal", merged) == 0
    text = (merged / "best_of_n_completions.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == rows
    with RunReader(merged) as run:
        study = run.recipe()["study"]
    assert isinstance(study, dict)
    assert study["dataset"] == "best_of_n--chunk-a.jsonl + best_of_n--chunk-b.jsonl"
    assert ponder("grade", merged) == 0


def test_bad_usage_is_one_line(
    tmp_path: Path, halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "merged"
    assert "no run directory: give `-o RUN`" in refused(capsys, *halves)
    assert "at least two runs, got 1" in refused(capsys, halves[0], "-o", new)
    assert "is not empty: give `-o` a new folder" in refused(capsys, *halves, "-o", halves[0])
    said = refused(capsys, *halves, "-o", "/proc/merged")  # where nobody can make a folder
    assert said.startswith("ponder: cannot write /proc/merged: ")
    assert ".merge-" not in said
    assert "nowhere is no run" in refused(capsys, halves[0], tmp_path / "nowhere", "-o", new)
    assert not new.exists()
