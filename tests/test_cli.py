"""The command line, end to end on the scripted engine."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ponder.cli import main
from ponder.cli.words import with_keys
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import EngineLostError, UsageError, VerifierLostError
from ponder.recipes import Recipe
from ponder.recipes.registry import STRATEGIES, VERIFIERS
from ponder.store.database import connect_writing
from ponder.store.reading import RunReader
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.random import RandomVerifier

QUESTIONS = [
    {"id": f"q{i}", "problem": f"What is {i}?", "answer": str(i % 5), "level": 1 + i % 2}
    for i in range(6)
]
PLAY = ["--engine", "scripted", "--model", "tests.playing:reasons"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return path


def ponder(*words: object) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as exited:
        main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def failing(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Status and error line of a command that fails: nothing else is printed."""
    status = ponder(*words)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert "Traceback" not in captured.err
    return status, captured.err


def test_run_report_show_export_import(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["run", *PLAY, "--dataset", data, "--n", 8, "--verifier", "tests.playing:judged"]
    assert ponder(*words, "-o", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == 1
    assert report["n_problems"] == 6
    assert set(report["curves"]) == {"majority", "best_of_n", "weighted", "oracle"}
    assert list(report["curves"]["oracle"]) == ["1", "2", "4", "8"]
    assert (run / "report.html").exists()
    assert (run / "recipe.toml").exists()

    assert ponder("report", run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == report
    assert ponder("report", run) == 0
    assert "best of N" in capsys.readouterr().out

    assert ponder("show", run) == 0
    assert "q3" in capsys.readouterr().out
    assert ponder("show", run, "q3") == 0
    assert "What is 3?" in capsys.readouterr().out
    assert ponder("show", run, "q3", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"]) == 8

    pool = tmp_path / "pool.jsonl"
    assert ponder("export", "pool", run, "-o", pool) == 0
    again = tmp_path / "again"
    assert ponder("import", "pool", pool, "-o", again) == 0
    capsys.readouterr()
    assert ponder("report", again, "--json") == 0
    imported = json.loads(capsys.readouterr().out)
    assert imported["first_n"] == report["first_n"]
    assert imported["grades"] == "imported"


def test_the_same_command_goes_on(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", *PLAY, "--dataset", data, "-o", tmp_path / "run", "--json"]
    assert ponder(*words, "--limit", 2) == 0
    assert json.loads(capsys.readouterr().out)["n_problems"] == 2
    assert ponder(*words, "--limit", 5, "--n", 6) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_problems"] == 5
    assert list(report["curves"]["majority"]) == ["1", "2", "4", "6"]
    status, line = failing(capsys, *words, "--n", 6, "--seed", 3)
    assert status == 1
    assert "seed is 0 there, 3 here" in line
    status, line = failing(capsys, *words, "--n", 2)
    assert status == 2
    assert "holds n = 6, more than 2" in line


def test_a_search_half_way_to_a_larger_n_is_not_finished(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["run", *PLAY, "--dataset", data, "--strategy", "dvts", "--verifier", "random"]
    words += ["--set", "knobs.beam_width=2", "--set", "host.slots=1", "-o", run]
    assert ponder(*words, "--n", 4, "--json") == 0
    capsys.readouterr()
    assert ponder(*words, "--n", 8, "--plan", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["n_problems"], plan["known"]) == (6, 6), "those of a pilot at n = 8"
    half = tmp_path / "half"
    words[-1] = half
    assert ponder(*words, "--n", 4, "--json") == 0
    capsys.readouterr()
    with pytest.warns(UserWarning, match="problems are left out: they have not come to n = 8"):
        assert ponder(*words, "--n", 8, "--max-tokens-total", 900, "--json") == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    done = report["n_problems"]
    assert report["n_asked"] == 6
    assert 0 < done < 6
    assert list(report["curves"]["weighted"]) == ["8"]
    assert f"{done} of 6 problems are finished" in captured.err
    assert ponder(*words, "--n", 8, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["n_problems"] == 6
    assert "left out" not in captured.err


@pytest.mark.parametrize("strategy", ["sample", "beam_search"])
def test_a_run_without_a_finished_problem_has_no_accuracy(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], strategy: str
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--strategy", strategy, "--verifier", "random"]
    assert ponder(*words, "-o", tmp_path) == 0
    with closing(sqlite3.connect(tmp_path / "run.sqlite")) as database, database:
        database.execute("DELETE FROM traces")
    capsys.readouterr()
    assert ponder("report", tmp_path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n_problems"], report["n_asked"], report["truncated"]) == (0, 6, 0.0)
    assert not any(report["curves"].values())
    assert ponder("report", tmp_path) == 0
    assert "0 of 6 problems, truncated -, unanswered -" in capsys.readouterr().out


def test_samples_that_a_rule_settled_half_way_to_a_larger_n_are_not_mixed(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--set", "knobs.stopping=exact", "-o", tmp_path]
    words += ["--set", "host.slots=1"]
    assert ponder(*words, "--n", 8, "--json") == 0
    capsys.readouterr()
    with pytest.warns(UserWarning, match="problems are left out: they have not come to n = 16"):
        assert ponder(*words, "--n", 16, "--max-tokens-total", 1000, "--json") == 1
    assert 0 < json.loads(capsys.readouterr().out)["n_problems"] < 6


def test_a_question_with_half_a_surrogate_pair_is_listed(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "q", "problem": "What is \\ud83d?", "answer": "1"}')
    assert ponder("run", *PLAY, "--dataset", rows, "--n", 1, "-o", tmp_path / "run") == 0
    capsysbinary.readouterr()
    assert ponder("show", tmp_path / "run") == 0
    assert "What is ⟨U+D83D⟩?" in capsysbinary.readouterr().out.decode()


@pytest.mark.parametrize("begun", ["the file", "its tables"])
def test_a_run_whose_start_was_cut_short_starts(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], begun: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.sqlite").touch()
    if begun == "its tables":
        connect_writing(run / "run.sqlite").close()
    status, line = failing(capsys, "report", run)
    assert (status, "its start was cut short, and the same command starts it" in line) == (1, True)
    assert ponder("run", *PLAY, "--dataset", data, "--n", 2, "-o", run) == 0


def test_a_sweep_joins(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", *PLAY, "--dataset", data, "--strategy", "beam_search", "--verifier", "random"]
    words += ["--set", "knobs.beam_width=2", "--sweep", "n=2,4", "--seeds", 2]
    assert ponder(*words, "-o", tmp_path / "sweep", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["runs"]) == 4
    assert set(report["joined"]["weighted"]) == {"2", "4"}
    assert (tmp_path / "sweep" / "n=2" / "seed=1" / "run.sqlite").exists()
    capsys.readouterr()
    words = ["score", tmp_path / "sweep", "--verifier", "arithmetic"]
    _, line = failing(capsys, *words)
    assert "is no run: it holds the runs n=2/seed=0, n=2/seed=1, " in line
    assert line.endswith(": name one\n")
    assert ponder("report", tmp_path / "sweep", "--json") == 0
    assert json.loads(capsys.readouterr().out)["joined"] == report["joined"]


def test_a_word_that_is_no_choice_is_told_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, line = failing(capsys, "report", tmp_path, "--by", "foo")
    assert (status, line) == (
        2,
        "ponder: Invalid value for '--by': 'foo' is not one of 'level', 'subject'.\n",
    )


@pytest.mark.parametrize("command", ["run", "solve"])
def test_the_help_names_every_strategy(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert ponder(command, "--help") == 0
    told = capsys.readouterr().out
    assert all(name in told for name in STRATEGIES)


def test_a_bare_backslash_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(UsageError) as raised:
        with_keys(Recipe(), ["sampling.separator=\\n"])
    assert str(raised.value) == (
        "the value \\n holds a backslash: write '\"\\n\"' if it is an escape, "
        "\"'\\n'\" if it stands for itself"
    )
    escape, itself = (
        with_keys(Recipe(), [f"sampling.separator={word}"]).study.sampling.separator
        for word in ('"\\n"', "'\\n'")
    )
    assert (escape, itself) == ("\n", "\\n")


def test_a_sweep_over_models_draws_from_each(tmp_path: Path, data: Path) -> None:
    words = ["run", "--engine", "scripted", "--dataset", data, "--n", 2, "-o", tmp_path / "sweep"]
    models = ("tests.playing:reasons", "tests.test_cli:says_nine")
    assert ponder(*words, "--sweep", f"model={','.join(models)}", "--json") == 0
    texts = {}
    for model in models:
        with RunReader(tmp_path / "sweep" / f"model={model}") as run:
            texts[model] = {node.text for trace in run.traces() for node in trace.nodes}
    assert texts[models[1]] == {"The answer is 9."}
    assert texts[models[0]].isdisjoint(texts[models[1]])


def test_a_stop_opens_no_further_engine(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--engine", "scripted", "--dataset", data, "--n", 2, "-o", tmp_path / "sweep"]
    models = ("tests.playing:reasons", "tests.test_cli:says_nine")
    words += ["--sweep", f"model={','.join(models)}", "--max-tokens-total", 1]
    assert ponder(*words) == 1
    assert "problems are finished" in capsys.readouterr().err
    assert (tmp_path / "sweep" / f"model={models[0]}").exists()
    assert not (tmp_path / "sweep" / f"model={models[1]}").exists()


def test_a_lost_engine_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words: list[object] = ["run", "--engine", "scripted", "--model", "tests.test_cli:says_nine"]
    words += ["--dataset", data, "--n", 2, "--set", "host.slots=2", "-o", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr("tests.test_cli.says_nine", lost_at_the_last)
        status, line = failing(capsys, *words)
    assert (status, "the model's process is gone" in line) == (1, True)
    with RunReader(tmp_path / "run") as run:
        assert 0 < len(run.finished()) < len(QUESTIONS), "and none is written down as failed"
    assert ponder(*words) == 0
    with RunReader(tmp_path / "run") as run:
        nodes = [node for trace in run.traces() for node in trace.nodes]
    assert [node.error for node in nodes] == [None] * 2 * len(QUESTIONS)


def lost_at_the_last(prefix: Prefix, _seed: int) -> str:
    if prefix.problem.id == QUESTIONS[-1]["id"]:
        raise EngineLostError("the model's process is gone")
    return "The answer is 9."


def test_a_verifier_that_cannot_be_loaded_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never_loads(*_: object) -> list[StepScores | ScoreFailure]:
        raise VerifierLostError("no room for its weights")

    words: list[object] = ["run", *PLAY, "--dataset", data, "--n", 2, "-o", tmp_path / "run"]
    words += ["--verifier", "random", "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(RandomVerifier, "score", never_loads)
        status, line = failing(capsys, *words)
    assert (status, "no room for its weights" in line) == (1, True)
    with RunReader(tmp_path / "run") as run:
        assert not run.finished()
    assert ponder(*words) == 0
    with RunReader(tmp_path / "run") as run:
        assert len(run.finished()) == len(QUESTIONS)


def test_problems_of_which_nothing_could_be_scored_are_told_and_tried_again(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score, down = RandomVerifier.score, {f"q{i}" for i in range(6)}

    async def down_for_some(
        self: RandomVerifier, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        if problem.id in down:
            return [ScoreFailure("the server is down") for _ in prefixes]
        return await score(self, problem, prefixes)

    monkeypatch.setattr(RandomVerifier, "score", down_for_some)
    words: list[object] = ["run", *PLAY, "--dataset", data, "--n", 2, "-o", tmp_path / "run"]
    words += ["--verifier", "random", "--json"]
    reason = "problems could be scored: the server is down; the same command tries them again"
    assert ponder(*words) == 1
    assert f"nothing of 6 of 6 {reason}" in capsys.readouterr().err
    down.difference_update({"q0", "q1", "q4"})
    assert ponder(*words) == 0
    assert f"nothing of 3 of 6 {reason}" in capsys.readouterr().err
    down.clear()
    assert ponder(*words) == 0
    assert "could be scored" not in capsys.readouterr().err


def test_an_engine_that_does_not_open_leaves_no_run(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--engine", "scripted", "--dataset", data, "--n", 2, "-o", tmp_path / "run"]
    status, line = failing(capsys, *words, "--model", "tests.playing:resaons")
    assert status == 2
    assert "cannot load the function 'tests.playing:resaons'" in line
    assert ponder(*words, "--model", "tests.playing:reasons") == 0


def test_a_script_of_the_current_folder_is_found_and_its_bugs_are_told(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_script.py").write_text("def f(prefix, seed):\n    raise KeyError('x')\n")
    (tmp_path / "cut_script.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ["run", "--engine", "scripted", "--dataset", data, "--n", 2]
    assert ponder(*words, "--model", "own_script:f", "-o", "own") == 1
    assert "every sample failed: the script raised KeyError: 'x'" in capsys.readouterr().err
    status, line = failing(capsys, *words, "--model", "cut_script:f", "-o", "cut")
    assert status == 2
    assert "cannot load the function 'cut_script:f': SyntaxError: " in line


def says_nine(_prefix: Prefix, _seed: int) -> str:
    return "The answer is 9."


def test_a_sweep_holds_one_verifier_for_all_its_values(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, closed = list[int](), list[int]()

    class Told(RandomVerifier):
        async def score(
            self, problem: Problem, prefixes: Sequence[Prefix]
        ) -> list[StepScores | ScoreFailure]:
            asked.append(id(self))
            return await super().score(problem, prefixes)

        async def aclose(self) -> None:
            closed.append(id(self))

    monkeypatch.setitem(VERIFIERS, "told", Told)
    words = ["run", *PLAY, "--dataset", data, "--strategy", "beam_search", "--verifier", "told"]
    assert ponder(*words, "--sweep", "n=2,4", "--seeds", 2, "-o", tmp_path / "sweep") == 0
    assert len(asked) > 4
    assert set(asked) == set(closed)
    assert len(closed) == 1
    del asked[:], closed[:]
    words += ["--sweep", "verifier_knobs.seed=1,2", "-o", tmp_path / "knobs"]
    assert ponder(*words) == 0
    assert len(set(asked)) == 2
    assert sorted(set(asked)) == sorted(closed)


def test_equal_tokens_take_each_problems_budget_from_a_run(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["run", *PLAY, "--dataset", data]
    beams = ["--strategy", "beam_search", "--verifier", "random", "-o", tmp_path / "beams"]
    assert ponder(*common, *beams) == 0
    words = [*common, "--n", 64, "--equal-tokens", tmp_path / "beams", "-o", tmp_path / "equal"]
    assert ponder(*words) == 0
    capsys.readouterr()
    spent = []
    for run in ("beams", "equal"):
        assert ponder("show", tmp_path / run, "q1", "--json") == 0
        spent.append(json.loads(capsys.readouterr().out)["spent"]["generated"])
    assert spent[0] - 16 < spent[1] <= spent[0]
    words = [*words[:-1], tmp_path / "fewer", "--budget", "generated_tokens=20"]
    assert ponder(*words) == 0
    capsys.readouterr()
    assert ponder("show", tmp_path / "fewer", "q1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["spent"]["generated"] <= 20 < spent[0]


def test_equal_tokens_without_their_run_are_refused_before_a_folder_is_made(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 2]
    equal = [*words, "-o", tmp_path / "equal", "--equal-tokens"]
    status, line = failing(capsys, *equal, tmp_path / "nosuch")
    assert status == 2
    assert "there is no run in" in line
    assert "nosuch" in line
    assert ponder(*words, "--limit", 2, "-o", tmp_path / "two") == 0
    capsys.readouterr()
    status, line = failing(capsys, *equal, tmp_path / "two")
    assert status == 2
    assert "does not tell what problem 'q2' spent" in line
    assert not (tmp_path / "equal").exists()
    assert ponder(*equal, tmp_path / "two", "--limit", 2) == 0


def test_a_method_that_the_engine_cannot_do_leaves_the_folder_free(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = partial(ScriptedEngine, continues=False)
    monkeypatch.setattr("ponder.recipes.registry.ScriptedEngine", whole)
    words = ["run", *PLAY, "--dataset", data, "--n", 2, "-o", tmp_path / "run"]
    assert ponder(*words, "--strategy", "beam_search", "--verifier", "random") == 1
    assert ponder(*words) == 0


def test_grade_prints_the_rows_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"gold": "1/2", "pred": "0.5", "mark": 1},
        {"gold": "x", "pred": "y"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert ponder("grade", path, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {**rows[0], "equal": True}
    assert lines[1]["equal"] is False
    assert lines[2]["summary"]["rows"] == 2
    assert lines[2]["summary"]["correct"] == 1


def test_half_a_surrogate_pair_is_printed_as_its_escape(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"gold": "1", "pred": "1", "note": "na\u00efve \\ud83d"}')
    assert ponder("grade", path, "--json") == 0
    line = capsysbinary.readouterr().out.splitlines()[0].decode()
    assert "naïve" in line
    assert json.loads(line)["note"] == "naïve \ud83d"


def test_the_public_pool_gives_the_published_figures(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = test_data / "completions" / "math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
    assert ponder("import", "pool", pool, "-o", tmp_path / "run") == 0
    capsys.readouterr()
    assert ponder("report", tmp_path / "run", "--json") == 0
    first = json.loads(capsys.readouterr().out)["first_n"]
    best = [round(first["best_of_n"][n] * 40, 9) for n in ("1", "2", "4", "8")]
    oracle = [round(first["oracle"][n] * 40, 9) for n in ("1", "2", "4", "8")]
    assert best == [15, 17, 19, 20]
    assert oracle == [15, 20, 24, 28]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["run", "-o", "x"], 2, "no data set"),
        (["run", "--dataset", "grade-school-tune"], 2, "no run directory"),
        (["run", "nothing.toml", "-o", "x"], 2, "cannot read recipe nothing.toml"),
        (["run", "--dataset", "no-such-file.jsonl", "-o", "x"], 2, "no-such-file.jsonl"),
        (["run", "--n", "two", "-o", "x"], 2, "two"),
        (["run", "--budget", "joules=3", "-o", "x"], 2, "joules"),
        (["run", "--budget", "seconds", "-o", "x"], 2, "KEY=VALUE"),
        (["run", "--budget", "seconds=x", "-o", "x"], 2, "KEY=NUMBER"),
        (["run", "--dataset", "grade-school-tune", "--prompt", "p", "-o", "x"], 2, "prompt 'p'"),
        (["run", "--sweep", "n=4,8,4", "-o", "x"], 2, "names 4 2 times"),
        (["run", "--n", "2", "--sweep", "n=4,8", "-o", "x"], 2, "varies `n`, which is set"),
        (
            ["run", "--set", "study.n=2", "--sweep", "n=4,8", "-o", "x"],
            2,
            "varies `n`, which is set",
        ),
        (
            ["run", "--temperature", "1", "--sweep", "sampling.temperature=0,1", "-o", "x"],
            2,
            "varies `sampling.temperature`",
        ),
        (
            ["run", "--budget", "generations=2", "--budget", "generations=3", "-o", "x"],
            2,
            "'generations' twice, with '2' and '3'",
        ),
        (
            ["run", "--price", "prompt=2", "--price", "prompt=3", "-o", "x"],
            2,
            "'prompt' twice, with '2' and '3'",
        ),
        (
            ["run", "--base-url", "http://here/v1", "-o", "x"],
            2,
            "`--base-url http://here/v1` is for the engine openai, and the engine is embedded",
        ),
        (
            ["run", "--set", "verifier_knobs.x=1", "-o", "x"],
            2,
            "`--set verifier_knobs.x=1` is for a verifier",
        ),
        (
            ["run", "--set", "vllm.dtype=float16", "-o", "x"],
            2,
            "`--set vllm.dtype=float16` is for the engine vllm",
        ),
        (
            ["run", "--set", "host.vllm.cache_gb=2", "-o", "x"],
            2,
            "`--set host.vllm.cache_gb=2` is for the engine vllm",
        ),
        (
            ["solve", "1 + 1?", "--model", "m", "--set", "verifier_knobs.x=1"],
            2,
            "`--set verifier_knobs.x=1` is for a verifier",
        ),
        (["run", "--ids", "", "-o", "x"], 2, "`--ids` takes ID,ID,..., got ''"),
        (["run", "--ids", "a1, ,a2", "-o", "x"], 2, "got 'a1, ,a2'"),
        (["run", "--dataset", "grade-school-tune", "-o", ""], 2, "`-o` takes a folder, got ''"),
        (["import", "pool", "x", "-o", ""], 2, "`-o` takes a folder, got ''"),
        (["demo", "-o", ""], 2, "`-o` takes a folder, got ''"),
        (["train-verifier", "x", "-o", ""], 2, "`-o` takes a folder, got ''"),
        (
            ["import", "pool", "x", "-o", "y", "--approach", "dvts"],
            2,
            "--approach dvts is for sal, not for pool",
        ),
        (
            ["import", "sal", "x", "-o", "y", "--grades", "strict"],
            2,
            "--grades strict is for lm-eval and inspect, not for sal",
        ),
        (["export", "pool", "x", "--revision", "b"], 2, "--revision b is of the hub's"),
        (["export", "pool", "x", "--private"], 2, "--private is for the hub"),
        (["frobnicate"], 2, "frobnicate"),
        (["report", "no-such-run"], 1, "no-such-run holds no run"),
        (["show", "no-such-run", "x"], 1, "no-such-run"),
        (["grade", "no-such-file"], 2, "no-such-file"),
        (["import", "pool", "no-such-file"], 2, "no run directory"),
        (["import", "poodle", "x", "-o", "y"], 2, "poodle"),
        (["solve", " "], 2, "the question is empty"),
    ],
)
def test_bad_usage_is_one_line(
    words: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    got, line = failing(capsys, *words)
    assert message in line
    assert got == status
    assert list(tmp_path.iterdir()) == []


def test_keys_that_any_run_of_a_sweep_reads_may_be_set(tmp_path: Path, data: Path) -> None:
    words = ["run", "--dataset", data, "--n", 2, "-o", tmp_path / "run", "--model", PLAY[-1]]
    words += ["--sweep", "engine=scripted", "--sweep", "verifier=random"]
    assert ponder(*words, "--set", "verifier_knobs.seed=1") == 0


def test_blanks_around_ids_do_not_matter(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 2, "-o", tmp_path / "run"]
    assert ponder(*words, "--ids", "q1, q3 ") == 0
    with RunReader(tmp_path / "run") as run:
        assert run.finished() == {"q1", "q3"}


def test_imported_grades_that_are_not_there_are_told(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert ponder("run", *PLAY, "--dataset", data, "--n", 2, "-o", run) == 0
    capsys.readouterr()
    for command in (["report", run], ["compare", run, run]):
        status, line = failing(capsys, *command, "--grades", "imported")
        assert status == 2
        assert "run has no imported grades: leave out `--grades imported`" in line


def test_a_run_and_an_import_do_not_share_a_folder(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, pool = tmp_path / "run", tmp_path / "pool"
    words = ["run", *PLAY, "--dataset", data, "--n", 2, "-o"]
    assert ponder(*words, run) == 0
    assert ponder("export", "pool", run, "-o", tmp_path / "pool.jsonl") == 0
    assert ponder("import", "pool", tmp_path / "pool.jsonl", "-o", pool) == 0
    capsys.readouterr()
    status, line = failing(capsys, "import", "pool", tmp_path / "pool.jsonl", "-o", run)
    assert status == 1
    assert "holds a run of `ponder run`: give `-o` another folder" in line
    assert "there," not in line
    status, line = failing(capsys, *words, pool)
    assert status == 1
    assert "holds an import: give `-o` another folder" in line


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert ponder("report", "no-such-run", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_run_in_which_everything_fails_fails(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--engine", "scripted", "--model", "tests.test_cli:broken", "--dataset", data]
    assert ponder(*words, "-o", tmp_path / "run") == 1
    assert "every sample failed: out of order" in capsys.readouterr().err


def test_a_run_with_a_verifier_in_which_everything_fails_says_why(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--engine", "scripted", "--model", "tests.test_cli:broken", "--dataset", data]
    assert ponder(*words, "--verifier", "arithmetic", "-o", tmp_path / "run") == 1
    assert "every sample failed: out of order" in capsys.readouterr().err
    assert ponder("report", tmp_path / "run") == 0


def test_a_question_of_which_every_sample_fails_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "broken.toml"
    recipe.write_text('[study]\nengine = "scripted"\nmodel = "tests.test_cli:broken"\n')
    assert ponder("solve", "What?", "--recipe", recipe) == 1
    assert "every sample failed: out of order" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", ["sample", "beam_search"])
def test_a_question_of_which_nothing_can_be_scored_fails_with_its_answer(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "scripted.toml"
    recipe.write_text('[study]\nengine = "scripted"\nmodel = "tests.test_cli:says_nine"\n')
    words = ["solve", "What?", "--recipe", recipe, "--n", 2, "--strategy", strategy]
    with pytest.warns(UserWarning, match="nothing could be scored: function: ValueError: boom"):
        assert ponder(*words, "--verifier", "tests.test_cli:boom") == 1
    assert capsys.readouterr().out in ("9\n", "no answer\n")
    assert ponder(*words, "--verifier", "random") == 0


def boom(_problem: Problem, _steps: tuple[str, ...]) -> list[float]:
    raise ValueError("boom")


def test_an_error_without_words_is_told_by_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("ponder.cli.solve._solve", late)
    assert failing(capsys, "solve", "What?") == (1, "ponder: TimeoutError\n")


def test_a_recipes_seed_is_the_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "seeded.toml"
    recipe.write_text('[study]\nengine = "scripted"\nmodel = "tests.playing:reasons"\nseed = 7\n')
    texts = []
    for seed in ([], ["--seed", 7], ["--seed", 8]):
        assert ponder("solve", "What?", "--recipe", recipe, "--json", *seed) == 0
        texts.append(json.loads(capsys.readouterr().out)["nodes"][0]["text"])
    assert texts[0] == texts[1] != texts[2]


def test_a_verifiers_knobs_are_set_beside_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "scripted.toml"
    recipe.write_text('[study]\nengine = "scripted"\nmodel = "tests.playing:reasons"\n')
    words = ["solve", "What?", "--recipe", recipe, "--verifier", "value-head"]
    assert ponder(*words, "--set", f"verifier_knobs.head={tmp_path / 'mine'}") == 2
    assert str(tmp_path / "mine") in capsys.readouterr().err


def broken(_prefix: object, _seed: int) -> object:
    from ponder.engines.scripted import Reply

    return Reply("", error="out of order")


def slow(_prefix: object, seed: int) -> str:
    time.sleep(0.05)
    return f"The answer is {seed % 5}."


def test_the_first_interrupt_drains_and_commits(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    words = ["run", "--engine", "scripted", "--model", "tests.test_cli:slow", "--set"]
    words += ["host.slots=1", "--dataset", str(data), "--n", "4", "-o", str(run)]
    program = "import sys; from ponder.cli import main; main(sys.argv[1:])"
    child = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        deadline = time.monotonic() + 60
        while not (run / "run.sqlite").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 1
    assert "finishing the open problems" in errors
    assert "of 6 problems are finished; the same command goes on" in errors


def test_doctor_names_what_is_missing_and_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path))
    assert ponder("doctor") == 1
    captured = capsys.readouterr()
    assert "ponder doctor --fetch" in captured.out
    assert "default model" in captured.err
    assert ponder("doctor", "--json") == 1
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["default model"]["mend"] == "ponder doctor --fetch"
    assert found["Python"]["mend"] is None
