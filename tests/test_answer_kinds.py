"""What an answer is, from extraction and voting groups to grades and the report of a run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.answers.base import AnswerKind, kind_for
from ponder.answers.choice import LETTERS, ChoiceAnswers, lettered
from ponder.answers.exact import ExactAnswers
from ponder.answers.extraction import tagged
from ponder.answers.registry import answer_kind
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.replay import ReplayEngine
from ponder.errors import MissingExtraError, UsageError
from ponder.evals.datasets import gym_process
from ponder.evals.grading import Grader, Verdict
from ponder.evals.grading_kinds import Given, check_gradable, grading_of
from ponder.evals.run_grading import grade_run
from ponder.evals.study import Plan, closed, data_of, jobs_of, open_store
from ponder.recipes import Recipe
from ponder.runner import Job, replay
from ponder.runner import run as run_jobs
from ponder.session import Slots
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.strategies.sample import RepeatedSampling
from ponder.types import Example, Message, Prefix, Problem
from tests.engine_fixture import ENGINE_MARKS, embedded_engine
from tests.gym_marks import NEEDS_GYM
from tests.playing import World
from tests.test_cli import ponder

__all__ = ["embedded_engine"]

QUESTION = Problem(
    (Message("user", "Which is longest?"),), "q", choices=("12 cm", "a foot", "7", "Paris")
)
CHOICES = kind_for(ChoiceAnswers(), QUESTION)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(C)", "C"),
        ("**C**", "C"),
        ("We compare them.\n\n**(C)**", "C"),
        ("the answer is C", "C"),
        ("The answer is (c).", "C"),
        ("The answer is **c) 7**", "C"),
        ("The answer is C because 7 is prime.", "C"),
        ("Answer: A, I think", "A"),
        ("The answer is $\\text{(D)}$", "D"),
        (r"so \boxed{\text{(D)}}", "D"),
        (r"so \boxed{12\text{ cm}}", "A"),
        ("<answer>D</answer>, not \\boxed{A}", "D"),
        ("The answer is 12 cm.", "A"),
        ("Answer: A foot", "B"),
        ("It is in France.\n\nParis.", "D"),
        ("So I choose option B", "B"),
        ("Option A is short. Option D is right.", "D"),
        ("The correct choice is: **B**", "B"),
        ("The answer is option C", "C"),
        ("C) 7", "C"),
        (" c ", "C"),
        ("Let me see.\nA) 12 cm\nD) Paris", None),
        ("The answer is a metre.", None),
        ("The answer is E", None),
        ("Choose a card", None),
        ("Parisians say so.", None),
        ("I think so", None),
        ("", None),
    ],
)
def test_a_choice_is_read_as_a_letter_or_by_its_text(text: str, letter: str | None) -> None:
    assert CHOICES.extract(text) == letter


def test_a_letter_names_its_own_place_even_where_another_choice_is_called_so() -> None:
    odd = kind_for(ChoiceAnswers(), Problem(QUESTION.messages, "q", choices=("B", "A", "x", "x")))
    assert [odd.extract(f"The answer is {text}") for text in "ABx"] == ["A", "B", None]


def test_a_problem_without_choices_leaves_a_kind_as_it_is() -> None:
    kind = ChoiceAnswers("AB")
    assert kind_for(kind, Problem.ask("1?")) is kind
    math = answer_kind("math")
    assert kind_for(math, QUESTION) is math


@given(st.lists(st.text(min_size=1), min_size=2, max_size=26), st.data())
def test_every_letter_of_the_choices_is_read_in_every_form(
    choices: list[str], data: st.DataObject
) -> None:
    kind = kind_for(ChoiceAnswers(), Problem(QUESTION.messages, "q", choices=tuple(choices)))
    letter = data.draw(st.sampled_from(LETTERS[: len(choices)]))
    form = data.draw(st.sampled_from(["({})", "**{}**", "Answer: {}", "so\n{}.", r"\boxed{{{}}}"]))
    assert kind.extract(form.format(letter)) == letter
    assert lettered(choices).startswith(f"A) {choices[0]}")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer> 1 2\n3 4 </answer> done", "1 2\n3 4"),
        ("<answer>1</answer> no: <ANSWER>2</ANSWER>", "2"),
        ("<answer>1</answer> no: <answer></answer>", "1"),
        ("<answer>1 <answer>2</answer>", "2"),
        ("<answer>1", None),
        ("1</answer>", None),
    ],
)
def test_the_last_closed_tag_that_holds_something_counts(text: str, answer: str | None) -> None:
    assert tagged(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>b</answer> \\boxed{c}", "b"),
        (r"I say \boxed{c}. The answer is d.", "c"),
        ("The answer is Paris.", "Paris"),
        ("Paris", "Paris"),
        ("It is in France.\n\n", None),
        ("One line.\nAnother line.", None),
        ("long " * 50, None),
    ],
)
def test_an_exact_answer_is_what_is_marked_or_a_text_of_one_line(
    text: str, answer: str | None
) -> None:
    assert ExactAnswers().extract(text) == answer


async def key(kind: AnswerKind, raw: str) -> str:
    return (await kind.parse(raw)).key


async def test_voting_groups() -> None:
    exact, text = ExactAnswers(), answer_kind("text")
    assert await key(exact, " a  \n b ") == await key(exact, "a\nb")
    for one, other in [("Paris", "paris"), ("a b", "a\nb"), ("42", "42.0"), ("x" * 300, "x" * 301)]:
        assert await key(exact, one) != await key(exact, other)
    assert await key(text, "Paris.") == await key(text, "paris")
    groups = [await key(CHOICES, raw) for raw in ("a", "(A)", "A) 12 cm", "12 cm", "12\\text{ cm}")]
    assert groups == ["A"] * 5


def test_a_kind_by_name_or_a_function() -> None:
    assert answer_kind(None).name == "math"
    assert answer_kind("reasoning-gym").name == "reasoning-gym"
    assert answer_kind("my.module:right").name == "my.module:right"
    with pytest.raises(UsageError, match=r"choose one of math.*, or module:function"):
        answer_kind("maths")


def example(reference: str, problem: Problem = QUESTION) -> Example:
    return Example(problem, reference)


async def graded(kind: AnswerKind, pairs: Sequence[Given]) -> list[Verdict]:
    async with Grader() as grader, grading_of(kind, grader) as grading:
        return await grading.grade(pairs)


@pytest.mark.parametrize(
    ("kind", "reference", "right", "wrong"),
    [
        ("math", "12", ["12", "012"], ["2"]),
        ("choice", "A", ["A", "(a)", "12 cm"], ["B", "a foot", "13 cm"]),
        ("choice", "Paris", ["D", "paris."], ["A"]),
        ("text", "Paris", ["paris", "Paris."], ["London"]),
        ("exact", "Paris", ["Paris", " Paris "], ["paris", "Paris."]),
    ],
)
async def test_a_kind_grades_as_it_reads(
    kind: str, reference: str, right: list[str], wrong: list[str]
) -> None:
    one = example(reference)
    verdicts = await graded(answer_kind(kind), [Given(one, raw) for raw in right + wrong])
    assert verdicts == [Verdict(True)] * len(right) + [Verdict(False)] * len(wrong)


def primes(index: int) -> Example:
    """A problem of reasoning-gym's task, as the data set makes it."""
    made = {"name": "count_primes", "size": 2, "seed": 0, "knobs": {}}
    entry = gym_process.entry_of(made, index)
    problem = Problem.ask(entry["question"], f"p{index}")
    return Example(problem, str(entry["answer"]), extra={"reasoning_gym": {**made, "index": index}})


@NEEDS_GYM
async def test_reasoning_gym_answers_are_scored_by_their_task() -> None:
    first, second = primes(0), primes(1)
    reference = first.reference or ""
    pairs = [
        Given(first, reference),
        Given(first, f"about {reference}"),  # scored in part, since it holds the answer
        Given(first, "none"),
        Given(second, second.reference or ""),
        Given(example("7"), "7"),
        Given(Example(QUESTION, "7", extra=first.extra), "8"),
    ]
    verdicts = await graded(answer_kind("reasoning-gym"), pairs)
    assert [verdict.equal for verdict in verdicts] == [True, False, False, True, False, False]
    assert [verdict.failed is None for verdict in verdicts] == [True] * 4 + [False] * 2
    assert "does not say how reasoning-gym made it" in (verdicts[4].failed or "")
    assert "makes another problem" in (verdicts[5].failed or "")


def even(answer: str, example: Example) -> bool:
    """Right is any even number; the reference says how large it may be."""
    return int(answer) % 2 == 0 and int(answer) <= int(example.reference or "")


async def later(answer: str, example: Example) -> object:
    return {"yes": True, "one": 1, "half": 0.5, "none": None}[answer]


CALLS: list[str] = []


def remembered(answer: str, example: Example) -> bool:
    CALLS.append(example.problem.id + answer)
    return answer == example.reference


async def test_equal_answers_to_one_problem_are_graded_once() -> None:
    CALLS.clear()
    other = example("b", Problem.ask("?", "r"))
    pairs = [Given(example("a"), "a"), Given(other, "a"), Given(example("a"), "a")]
    verdicts = await graded(answer_kind("tests.test_answer_kinds:remembered"), pairs)
    assert [verdict.equal for verdict in verdicts] == [True, False, True]
    assert CALLS == ["qa", "ra"]


NO_FUNCTION = "not callable"


async def test_a_function_says_what_is_right_and_its_failures_are_told() -> None:
    kind = answer_kind("tests.test_answer_kinds:even")
    pairs = [Given(example("10"), raw) for raw in ("4", "5", "12", "four")]
    verdicts = await graded(kind, pairs)
    assert [verdict.equal for verdict in verdicts] == [True, False, False, False]
    assert verdicts[:3] == [Verdict(True), Verdict(False), Verdict(False)]
    assert re.match("ValueError: invalid literal .* 'four'", verdicts[3].failed or "")


async def test_an_async_function_grades_too_and_must_say_yes_or_no() -> None:
    kind = answer_kind("tests.test_answer_kinds:later")
    pairs = [Given(example("1"), raw) for raw in ("yes", "one", "half", "none")]
    verdicts = await graded(kind, pairs)
    assert [verdict.equal for verdict in verdicts] == [True, True, False, False]
    assert verdicts[2].failed == "the function must return true or false, got 0.5"
    assert verdicts[3].failed == "the function must return true or false, got None"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tests.nowhere:right", "cannot load the function 'tests.nowhere:right'"),
        ("tests.test_answer_kinds:NO_FUNCTION", "NO_FUNCTION is no function"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_named(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_gradable(answer_kind(name))


def test_grading_by_reasoning_gym_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"ponder\[gym\]"):
        check_gradable(answer_kind("reasoning-gym"))


def data_file(folder: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def grades(folder: Path) -> dict[str, set[tuple[str, bool]]]:
    """Of each problem, the voting keys of its candidates with their grades."""
    with RunReader(folder) as reader:
        ours = reader.grades("ours")
        return {
            trace.problem_id: {
                (candidate.answer.key if candidate.answer else "", ours[trace.problem_id, path])
                for candidate in trace.candidates
                if (path := candidate.path)
            }
            for trace in reader.traces()
        }


def kept_kind(folder: Path) -> object:
    with RunReader(folder) as reader:
        study = reader.recipe()["study"]
        assert isinstance(study, dict)
        return study["answer"]


def played(script: str) -> list[str]:
    return ["run", "--engine", "scripted", "--model", f"tests.test_answer_kinds:{script}"]


def chooses(prefix: Prefix, seed: int) -> str:
    """The right choice by its text or its letter, a wrong one, or none."""
    choices = prefix.problem.choices
    right, wrong = LETTERS[choices.index("right")], LETTERS[choices.index("wrong")]
    said = (
        "It is that.\n\nright",
        f"It is short.\n\n**({right})**",
        f"The answer is {wrong}.",
        "No idea.",
    )
    return said[seed % 4]


def test_a_multiple_choice_file_is_run_graded_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["right", "wrong", "worse"]
    rows = [{"id": f"q{i}", "question": f"{i}?", "choices": texts, "answer": 0} for i in range(5)]
    rows.append({"id": "q5", "question": "5?", "choices": texts[::-1], "answer": "right"})
    run = tmp_path / "run"
    words = [*played("chooses"), "--dataset", data_file(tmp_path, rows), "--prompt", "choice"]
    assert ponder(*words, "--n", 16, "-o", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_problems"] == 6
    assert report["curves"]["oracle"]["16"]["accuracy"] == 1
    assert 0 < report["unanswered"] < 0.5
    assert kept_kind(run) == "choice"
    for name, found in grades(run).items():
        right, wrong = ("C", "B") if name == "q5" else ("A", "B")
        assert found == {(right, True), (wrong, False), ("", False)}
    assert ponder("grade", run, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["candidates"], summary["failed"]) == (96, 0)
    share = summary["correct"] / summary["candidates"]
    assert report["curves"]["oracle"]["1"]["accuracy"] == pytest.approx(share)


def adds(prefix: Prefix, seed: int) -> str:
    """The sum that the question asks for, in tags, in words, with a unit, or wrong."""
    terms = re.search(r"[\d+ -]+(?= =)", prefix.problem.question)
    assert terms is not None
    total = sum(map(int, re.findall(r"[+-]?\d+", terms[0].replace(" ", ""))))
    right = (f"So\n<answer>{total}</answer>", f"The answer is {total}.")
    return (*right, f"{total} euros", "1000000", "2000000", "3000000")[seed % 6]


@NEEDS_GYM
def test_a_reasoning_gym_task_is_run_graded_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = [*played("adds"), "--dataset", "reasoning-gym:chain_sum:size=4,seed=1"]
    assert ponder(*words, "--n", 16, "-o", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_problems"] == 4
    assert report["curves"]["oracle"]["16"]["accuracy"] == 1
    assert kept_kind(run) == "reasoning-gym"
    for found in grades(run).values():
        assert {right for _, right in found} == {True, False}
        assert all(right == bool(re.fullmatch(r"exact:-?\d{1,6}", key)) for key, right in found)
        assert sum(right for _, right in found) == 1  # both forms are one voting group


def test_answers_that_a_function_cannot_grade_are_counted_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": f"q{i}", "problem": f"What is {i}?", "answer": "10"} for i in range(3)]
    run = tmp_path / "run"
    words = [*played("counts"), "--dataset", data_file(tmp_path, rows), "--n", 8]
    kind = ["--set", "answer=tests.test_answer_kinds:even"]
    assert ponder(*words, *kind, "-o", run, "--json") == 0
    told = capsys.readouterr().err
    assert "answers could not be graded and count as wrong: ValueError" in told
    with RunReader(run) as reader:
        grading = reader.provenance()["grading"]
    assert isinstance(grading, dict)
    assert grading["answer"] == "tests.test_answer_kinds:even"
    assert ponder("grade", run, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary["failed"] == sum(grading["failed"].values()) > 0
    assert grades(run)["q0"] == {("exact:4", True), ("exact:5", False), ("exact:four", False)}
    assert ponder(*words, "--set", "answer=nowhere:f", "-o", tmp_path / "no") == 2


def counts(prefix: Prefix, seed: int) -> str:
    return f"The answer is {('4', '5', 'four')[seed % 3]}."


def test_a_recipe_may_name_another_kind(tmp_path: Path) -> None:
    rows = [{"id": "q", "problem": "1?", "answer": "Four"}]
    run = tmp_path / "run"
    words = [*played("counts"), "--dataset", data_file(tmp_path, rows), "--n", 12]
    assert ponder(*words, "--set", "answer=text", "-o", run, "--json") == 0
    assert grades(run) == {"q": {("text:4", False), ("text:5", False), ("text:four", True)}}
    assert ponder(*words, "--set", "answer=exact", "-o", run, "--json") != 0


async def test_a_replay_reads_choices_as_the_run_did(tmp_path: Path) -> None:
    choices = ("wrong", "right", "worse")
    problem = Problem((Message("user", "Which?"),), "q", "Which?", choices)
    world = World(script=chooses, verifiers=(), answers=answer_kind("choice"))
    method = world.method(RepeatedSampling(n=8))
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples([Example(problem, "B")])
        await run_jobs([Job(problem, method, store)], Slots(8))
        again = replace(method, engine=ReplayEngine(world.engine.capabilities))
        pairs = [pair async for pair in replay(store, again)]
    [(kept, trace)] = pairs
    assert trace.digest() == kept.digest()
    assert {c.answer.key for c in kept.candidates if c.answer} == {"A", "B"}


class TestOnTheEmbeddedModel:
    pytestmark = ENGINE_MARKS

    async def test_every_answer_is_graded(
        self, embedded_engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        rows = [
            {"id": "sum", "question": "What is 1 + 1?", "choices": ["2", "3"], "answer": "A"},
            {"id": "sky", "question": "The sky is", "choices": ["red", "blue"], "answer": "B"},
        ]
        study = {"dataset": str(data_file(tmp_path, rows)), "n": 4, "prompt": "choice"}
        recipe = Recipe().changed({**study, "sampling": {"max_tokens": 24}}, {})
        data = data_of(recipe.study)
        plan = Plan(recipe.with_key("answer", data.answer), tmp_path / "run")
        with open_store(plan) as store:
            jobs = await jobs_of(plan, store, data.examples, embedded_engine, [])
            async with closed(jobs):
                await run_jobs(jobs, Slots(8))
            async with Grader() as grader:
                graded = await grade_run(store, grader)
        assert (graded.candidates, graded.failed) == (8, {})
        right = {"sum": "A", "sky": "B"}
        for name, found in grades(plan.folder).items():
            assert all(equal == (key == right[name]) for key, equal in found)
