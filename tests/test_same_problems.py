"""Runs that are matched by ids must hold the same problems under them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import UsageError
from ponder.evals.same_problems import Held, check_same_problems
from ponder.types import Example, Message, Problem
from tests.test_exchange import ponder


def example(question: str, reference: str | None = "5", prompt: str = "") -> Example:
    problem = Problem((Message("user", f"{prompt}{question}"),), "1", question)
    return Example(problem, reference)


def held(name: str, **examples: Example) -> Held:
    return Held(name, examples)


def test_prompts_may_differ() -> None:
    first = held("a", p=example("2 + 3?"), q=example("1 + 4?"))
    second = held("b", p=example(" 2 +  3?\n", prompt="Think. "), r=example("9?"))
    assert check_same_problems([first, second]) == []


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (example("2 + 4?"), "its question is '2 + 4?', that of a '2 + 3?'"),
        (example("2 + 3?", "6"), "its reference is '6', that of a '5'"),
        (example(""), None),
        (example("2 + 3?", None), None),
    ],
)
def test_question_and_reference_may_not(other: Example, says: str | None) -> None:
    blank = Example(Problem((Message("user", ""),), "p"), None)
    runs = [held("a", p=example("2 + 3?")), held("b", p=blank), held("c", p=other)]
    if says is None:
        check_same_problems(runs)
        return
    with pytest.raises(UsageError) as refused:
        check_same_problems(runs)
    assert "c holds another problem under the id 'p' than a: " in str(refused.value)
    assert says in str(refused.value)


def test_long_questions_are_shown_where_they_part() -> None:
    start = "A train leaves the station at noon. " * 20
    runs = [held("a", p=example(f"{start}How far?")), held("b", p=example(f"{start}How long?"))]
    with pytest.raises(UsageError, match=r"'\.\.\..*How long\?', that of a '\.\.\..*How far\?'"):
        check_same_problems(runs)


@pytest.mark.parametrize(
    ("reference", "by"), [("5", "matched by id and reference"), (None, "matched by id alone")]
)
def test_what_holds_no_questions_says_by_what_it_is_matched(reference: Any, by: str) -> None:
    whole = held("a", p=example("2 + 3?"), q=example("1 + 4?"))
    part = held("b", p=example("", reference), q=example("1 + 4?"), r=example("", None))
    (line,) = check_same_problems([whole, part])
    assert line.startswith("b does not hold the question of 1 of 2 common problems")
    assert line.endswith(by)
    assert check_same_problems([part, part]) == []


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    """Two sets of problems with the same ids."""
    made = []
    for name in ("add", "double"):
        rows = [
            {
                "id": number,
                "problem": f"{name} {number}",
                "answer": "1",
                "candidates": [{"text": "1", "answer": "1", "correct": number > 3}],
            }
            for number in range(6)
        ]
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        assert ponder("import", "pool", file, "-o", tmp_path / name) == 0
        made.append(tmp_path / name)
    return made[0], made[1]


@pytest.mark.parametrize(
    "words",
    [("compare",), ("report",), ("report", "--json"), ("fit", "-o", "policy.toml")],
    ids=" ".join,
)
def test_two_data_sets_are_refused_in_one_line(
    sets: tuple[Path, Path], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert ponder(words[0], *sets, *words[1:]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert "double holds another problem under the id '0' than add: its question is" in line
    assert printed.out == ""


def test_the_line_across_is_of_the_same_problems(
    sets: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ponder("report", sets[0], "--line", f"8B={sets[1]}") == 2
    assert "8B holds another problem under the id '0' than add" in capsys.readouterr().err


def test_what_cannot_be_checked_is_said(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = {"id": 0, "answer": "1", "candidates": [{"text": "1", "answer": "1", "correct": True}]}
    (tmp_path / "bare.jsonl").write_text(json.dumps(bare))
    assert ponder("import", "pool", tmp_path / "bare.jsonl", "-o", tmp_path / "bare") == 0
    capsys.readouterr()
    assert ponder("compare", sets[0], tmp_path / "bare", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["pairs"][0]["n_problems"] == 1
    assert "bare does not hold the question of 1 of 1 common problems" in printed.err
