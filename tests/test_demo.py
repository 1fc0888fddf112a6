"""The demo: the same problems for every method, no more rounds than there is time for."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ponder import runner
from ponder.cli.demo import demo, views
from ponder.evals import demo as demo_module
from ponder.evals.demo import ROUND, ROUNDS, methods, run_demo
from ponder.recipes import Recipe
from ponder.report.progress import MethodsProgress
from ponder.store.reading import RunReader
from ponder.types import Prefix, Problem
from ponder.verifiers.base import Verifier
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import PROBLEM, drawn


def answers(prefix: Prefix, seed: int) -> str:
    """Plays the model: a sum or two, and an answer."""
    if "Look at your solution" in prefix.messages[-1].content:
        return "The solution is correct."
    number = drawn(prefix.key, seed).randint(1, 9)
    return f"So there are 2 + {number} = {2 + number} things. The answer is {2 + number}."


def scripted() -> Recipe:
    study = {"engine": "scripted", "model": "tests.test_demo:answers"}
    return Recipe.shipped("grade-school").changed(study, {})


def last_digit(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    """Plays the trained head: larger answers look better to it."""
    return tuple(int(text.rstrip(". ")[-1]) / 10 for text in texts)


def played_head() -> ScriptedVerifier:
    return ScriptedVerifier(last_digit, tokens=7, name="played")


def run(folder: Path, clock: Callable[[], float], head: Verifier | None = None) -> int:
    async def work() -> int:
        with MethodsProgress(Console(quiet=True)) as progress:
            chosen = methods(scripted(), folder)
            stop = asyncio.Event()
            return await run_demo(chosen, print, progress.method, stop, clock, head)

    return asyncio.run(work())


def finished(folder: Path) -> dict[str, set[str]]:
    found = {}
    for method in methods(scripted(), folder):
        with RunReader(method.plan.folder) as reader:
            found[method.name] = reader.finished()
    return found


def ticking(step: float) -> Callable[[], float]:
    """A clock that is read three times a round and moves on by `step` at each reading."""
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_every_method_solves_the_same_problems(tmp_path: Path) -> None:
    assert run(tmp_path, ticking(100)) == 1
    done = finished(tmp_path)
    assert set(done) == {"greedy", "sample", "beam_search", "dvts", "self_refine"}
    assert all(ids == done["greedy"] for ids in done.values())
    assert len(done["greedy"]) == ROUND


def test_a_fast_machine_does_all_rounds(tmp_path: Path) -> None:
    assert run(tmp_path, lambda: 0.0) == ROUNDS
    assert all(len(ids) == ROUND * ROUNDS for ids in finished(tmp_path).values())


def test_a_round_starts_only_if_it_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round takes 40 s: the fourth would end at 160 s."""
    now = [0.0]
    real = runner.run

    async def slow(*arguments: object) -> None:
        await real(*arguments)  # type: ignore[arg-type]
        now[0] += 40.0

    monkeypatch.setattr(demo_module, "run", slow)
    assert run(tmp_path, lambda: now[0]) == 3


def test_the_command_prints_the_page_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = scripted()
    monkeypatch.setattr("ponder.cli.demo.Recipe.shipped", lambda _name: recipe)
    monkeypatch.setattr("ponder.cli.demo.ValueHeadVerifier", played_head)
    monkeypatch.setattr(demo_module, "SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    demo(tmp_path, as_json=False)
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    assert lines[-1] == str(tmp_path / "report.html")
    for name in ("greedy", "majority", "best of N", "weighted", "beam search", "dvts"):
        assert any(line.startswith(name) for line in (text.strip() for text in lines)), name
    assert "12 problems, n = 8" in captured.out
    page = (tmp_path / "report.html").read_text()
    assert "self refine" in page
    demo(tmp_path, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 9


def test_three_rows_share_the_samples(tmp_path: Path) -> None:
    run(tmp_path, ticking(100))
    found = {loaded.view.name: loaded.view for loaded in views(methods(scripted(), tmp_path))}
    assert found["majority"].selector == "majority"
    assert found["weighted"].selector == "weighted"
    assert found["best of N"].traces[0].nodes == found["weighted"].traces[0].nodes
    assert found["greedy"].greedy
    assert not any("head" in name for name in found)


def test_a_head_that_has_scored_a_part_of_the_samples_has_no_rows(tmp_path: Path) -> None:
    run(tmp_path, ticking(100), played_head())
    folder = next(m.plan.folder for m in methods(scripted(), tmp_path) if m.name == "sample")
    with sqlite3.connect(folder / "run.sqlite") as file:
        file.execute("DELETE FROM scores WHERE problem_id = (SELECT min(problem_id) FROM scores)")
    file.close()
    assert not any("head" in one.view.name for one in views(methods(scripted(), tmp_path)))


def test_a_trained_head_chooses_among_the_same_samples(tmp_path: Path) -> None:
    run(tmp_path, ticking(100), played_head())
    found = {loaded.view.name: loaded.view for loaded in views(methods(scripted(), tmp_path))}
    plain, by_head = found["best of N"], found["best of N, trained head"]
    assert found["weighted, trained head"].selector == "weighted"
    for before, after in zip(plain.traces, by_head.traces, strict=True):
        assert before.nodes == after.nodes
        assert before.spent.verifier == 0
        best = max(last_digit(PROBLEM, (c.text,)) for c in after.candidates)
        assert last_digit(PROBLEM, (f"{after.answer}.",)) == best
        assert after.spent.verifier == 7 * len({c.text for c in after.candidates})
