"""Prompt files: sections, the one placeholder, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.prompts import Prompt, load_prompt, shipped_prompts
from ponder.types import Message
from ponder.verifiers.equations import find_equations


def test_every_shipped_prompt_loads_and_asks_the_problem_last() -> None:
    known = ("answer-tags", "choice", "feedback", "grade-school", "plain", "refine", "study")
    assert shipped_prompts() == known
    for name in shipped_prompts():
        messages = load_prompt(name).render("How many {cards}?")
        assert messages[-1].role == "user"
        assert "How many {cards}?" in messages[-1].content
        assert all("{problem}" not in message.content for message in messages)


def test_the_prompt_that_the_page_shows_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text("utf-8")
    shown = page.partition("## Prompts")[2].split("```\n")[1]
    own = tmp_path / "own.txt"
    own.write_text(shown)
    system, user = load_prompt(own).render("1 + 1?")
    assert (system.role, user) == ("system", Message("user", "1 + 1?"))


def test_plain_is_the_problem_and_nothing_else() -> None:
    assert load_prompt("plain").render("1 + 1?") == (Message("user", "1 + 1?"),)


def test_study_is_a_system_turn_with_the_published_ending() -> None:
    system, user = load_prompt("study").render("1 + 1?")
    assert system.role == "system"
    assert system.content.startswith("Solve the following math problem efficiently and clearly:\n")
    assert "\n\n## Step 1: [Concise description]\n" in system.content
    assert system.content.endswith(
        "Regardless of the approach, always conclude with:\n\n"
        "Therefore, the final answer is: $\\boxed{answer}$. I hope it is correct.\n\n"
        "Where [answer] is just the final number or expression that solves the problem."
    )
    assert user == Message("user", "1 + 1?")


def test_worked_examples_are_right() -> None:
    turns = load_prompt("grade-school").turns
    answers = [turn.content for turn in turns if turn.role == "assistant"]
    assert len(answers) >= 3
    for answer in answers:
        equations = find_equations(answer)
        assert len(equations) >= 1
        assert all(equation.holds for equation in equations)
        assert answer.endswith(f"The answer is {equations[-1].stated[0]}.")


def test_self_refinement_names_what_accepts() -> None:
    assert '"The solution is correct."' in load_prompt("feedback").turns[-1].content


@given(st.text())
def test_any_question_comes_through_unchanged(question: str) -> None:
    prompt = Prompt("own", (Message("system", "{x} {{y}}"), Message("user", "Q: {problem}!")))
    assert prompt.render(question) == (
        Message("system", "{x} {{y}}"),
        Message("user", f"Q: {question}!"),
    )


def test_a_file_is_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("### system\nBe  brief.\n\n### no heading\n\n### user \n\n{problem}\n\nGo.\n")
    assert load_prompt(file).turns == (
        Message("system", "Be  brief.\n\n### no heading"),
        Message("user", "{problem}\n\nGo."),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must begin with a line `### system` or `### user`"),
        ("hello\n### user\n{problem}", "must begin with a line `### system` or `### user`"),
        ("### user\n{problem}\n### assistant\nyes", "must end with a `### user` turn"),
        ("### user\n{question}", "must hold {problem}"),
    ],
)
def test_a_file_that_asks_nothing_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "own.txt"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"own\.txt") as caught:
        load_prompt(file)
    assert told in str(caught.value)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_prompt("grade-shool")
    assert str(caught.value) == (
        "unknown prompt 'grade-shool': name one of answer-tags, choice, feedback, grade-school, "
        "plain, refine, study, or a text file (No such file or directory)"
    )
    with pytest.raises(UsageError, match="unknown prompt"):
        load_prompt(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="unknown prompt"):
        load_prompt(tmp_path / "binary")
