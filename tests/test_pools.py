import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.evals.exchange.remainder import same
from ponder.evals.outcomes import ranking_name
from ponder.evals.pool_export import export_problem
from ponder.evals.pool_import import ImportedProblem, import_pool, import_problem
from ponder.evals.pools import PoolProblem, read_pool, write_pool
from ponder.store.records import EXAMPLE, TRACE
from ponder.trace import Node, Spent, Trace
from ponder.types import Answer, Candidate, Example, Problem

LEAST: dict[str, Any] = {"id": "p", "answer": "4", "candidates": [{"text": "So it is =4"}]}
FULL: dict[str, Any] = {
    "id": 7,
    "problem": "2 + 2?",
    "answer": 4.0,
    "level": 3,
    "subject": "Sums",
    "exchangeable": False,
    "origin": {"page": 1},
    "candidates": [
        {
            "text": "It is =4",
            "score": 0.75,
            "scores": {"prm": 0.75, "orm": None},
            "step_scores": [0.5, 0.75],
            "completion_tokens": 211,
            "finish_reason": "length",
            "seed": 1,
            "answer": 4,
            "correct": True,
            "server": ["a", None],
        },
        {"text": "No idea", "score": None, "finish_reason": "content_filter", "correct": False},
        {"text": "Cut =5", "scores": {}, "step_scores": [], "votes": False, "answer": None},
    ],
}


class AfterEquals:
    """Answers stand after the last "=": equal when their lower-case texts are."""

    name = "after_equals"

    def __init__(self) -> None:
        self.parsed: list[str] = []

    def extract(self, text: str) -> str | None:
        _, mark, after = text.rpartition("=")
        return after if mark else None

    async def parse(self, raw: str) -> Answer:
        self.parsed.append(raw)
        return Answer(raw, raw.lower())

    def close(self) -> None:
        """Holds nothing."""


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def imported(row: Mapping[str, Any]) -> ImportedProblem:
    return await import_problem(PoolProblem.model_validate(row), AfterEquals())


def test_a_pool_is_written_as_it_was_read(tmp_path: Path) -> None:
    source = write(tmp_path / "pool.jsonl", LEAST, FULL)
    write_pool(tmp_path / "copy.jsonl", read_pool(source))
    lines = (tmp_path / "copy.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [LEAST, FULL]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": None}, "`id`: must be text or a number, and not empty, got None"),
        ({"id": " "}, "`id`: must be text or a number, and not empty, got ' '"),
        ({"id": "a\ud800"}, r"`id`: must not have a lone surrogate, .*got 'a\\ud800'"),
        ({"answer": ["4"]}, r"`answer`: must be text or a number, got \['4'\]"),
        ({"exchangeable": "yes"}, "`exchangeable`: .*got 'yes'"),
        ({"candidates": {}}, "`candidates`: .*got {}"),
        ({"candidates": [{"text": "a"}, {}]}, r"`candidates\[1\].text`: Field required$"),
        ({"candidates": [{"text": 3}]}, r"`candidates\[0\].text`: .*got 3"),
        ({"candidates": [{"text": "a", "score": "0.5"}]}, r"`candidates\[0\].score`: .*got '0.5'"),
        ({"candidates": [{"text": "a", "correct": 1}]}, r"`candidates\[0\].correct`: .*got 1"),
        (
            {"candidates": [{"text": "a", "step_scores": [0.5, None]}]},
            r"`candidates\[0\].step_scores\[1\]`: .*got None",
        ),
        ({"candidates": [{"text": "a", "scores": {"score": 1}}]}, "may not be called 'score'"),
        ({"candidates": [{"text": "a", "completion_tokens": -1}]}, "completion_tokens`: .*got -1"),
        ({"spent": 12}, "`spent`: .*got 12"),
        ({"spent": {"generations": -1}}, "`spent.generations`: .*got -1"),
    ],
)
def test_what_is_no_pool_is_one_clear_line(
    tmp_path: Path, change: Mapping[str, object], says: str
) -> None:
    path = write(tmp_path / "pool.jsonl", LEAST, {**LEAST, "id": "q", **change})
    with pytest.raises(UsageError, match=says) as error:
        read_pool(path)
    assert "pool.jsonl, line 2: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["id", "answer", "candidates"])
def test_required_keys(tmp_path: Path, key: str) -> None:
    row = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(UsageError, match=f"line 1: `{key}`: Field required"):
        read_pool(write(tmp_path / "pool.jsonl", row))


def test_duplicate_ids_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the id '7' stands in 2 lines \(line 1, line 3\)"):
        read_pool(write(tmp_path / "pool.jsonl", {**LEAST, "id": 7}, LEAST, {**LEAST, "id": "7"}))


def test_scores_beyond_the_floats_are_refused(tmp_path: Path) -> None:
    line = '{"id": 1, "answer": 2, "candidates": [{"text": "a", "score": 1e999}]}'
    (tmp_path / "pool.jsonl").write_text(line)
    with pytest.raises(UsageError, match=r"line 1: `candidates\[0\].score`: .*finite"):
        read_pool(tmp_path / "pool.jsonl")


async def test_an_imported_problem_is_an_example_a_trace_and_grades() -> None:
    example, trace, grades = _parts(await imported(FULL))
    first, second, third = trace.candidates
    assert (example.problem.id, example.problem.question) == ("7", "2 + 2?")
    assert (example.reference, example.level, example.subject) == ("4", "3", "Sums")
    assert example.extra["origin"] == {"page": 1}
    assert trace.problem_id == "7"
    assert (first.path, first.tokens, first.ended) == ((0,), 211, "length")
    assert first.answer == Answer("4", "4")
    assert first.scores == {
        "score": (0.75,),
        "prm": (0.75,),
        "orm": None,
        "step_scores": (0.5, 0.75),
    }
    assert (second.answer, second.ended, second.scores) == (None, "eos", {"score": None})
    assert (third.votes, third.answer) == (False, Answer("5", "5"))
    assert grades == {(0,): True, (1,): False}
    assert (trace.answer, trace.chosen) == ("4", (0,))
    assert trace.spent.generated is None


def _parts(problem: ImportedProblem) -> tuple[Example, Trace, Mapping[tuple[int, ...], bool]]:
    return problem.example, problem.trace, problem.grades


async def test_a_given_answer_is_the_vote_and_a_blank_one_is_none() -> None:
    candidates = [{"text": "=4", "answer": "5"}, {"text": "=4", "answer": " "}, {"text": "=4"}]
    trace = (await imported({**LEAST, "candidates": candidates})).trace
    keys = [candidate.answer and candidate.answer.key for candidate in trace.candidates]
    assert keys == ["5", None, "4"]


async def test_each_distinct_answer_of_a_problem_is_parsed_once() -> None:
    answers = AfterEquals()
    row = {**LEAST, "candidates": [{"text": "=a"}, {"text": "=A"}, {"text": "=a"}]}
    await import_problem(PoolProblem.model_validate(row), answers)
    assert sorted(answers.parsed) == ["A", "a"]


async def test_generated_tokens_are_summed_when_every_candidate_tells_them() -> None:
    candidates = [{"text": "a", "completion_tokens": tokens} for tokens in (3, 4)]
    assert (await imported({**LEAST, "candidates": candidates})).trace.spent.generated == 7


async def test_what_a_search_spent_is_not_told_by_its_candidates() -> None:
    """Pruned work is in no pool: the candidates' sum would flatter the search."""
    candidates = [{"text": "a", "completion_tokens": tokens} for tokens in (3, 4)]
    search = await imported({**LEAST, "candidates": candidates, "exchangeable": False})
    untold = Spent(generated=None, prompt=None, verifier=None, wasted=None, calls=None)
    assert search.trace.spent == untold
    told = {"generations": 9, "generated_tokens": 30}
    search = await imported({**LEAST, "candidates": candidates, "spent": told})
    assert search.trace.spent == replace(untold, calls=9, generated=30)


names = st.sampled_from(["a", "b"])
numbers = st.floats(-1, 1) | st.integers() | st.none()
unknown = st.dictionaries(
    st.sampled_from(["x", "question"]), st.none() | st.text() | st.lists(st.integers())
)
pool_candidates = st.fixed_dictionaries(
    {"text": st.text()},
    optional={
        "score": numbers,
        "scores": st.none() | st.dictionaries(names, numbers),
        "step_scores": st.none() | st.lists(st.floats(0, 1) | st.integers(0, 1)),
        "completion_tokens": st.none() | st.integers(0, 9),
        "finish_reason": st.none() | st.sampled_from(["stop", "length", "abort", "tool"]),
        "seed": st.none() | st.integers(),
        "answer": st.none() | st.text() | st.integers() | st.floats(allow_nan=False),
        "correct": st.none() | st.booleans(),
        "votes": st.booleans(),
    },
)
pool_problems = st.fixed_dictionaries(
    {
        "id": st.integers() | st.text(min_size=1).filter(str.strip),
        "answer": st.none() | st.text() | st.floats(allow_nan=False),
        "candidates": st.lists(st.builds(lambda a, b: {**a, **b}, pool_candidates, unknown)),
    },
    optional={
        "problem": st.none() | st.text(),
        "level": st.none() | st.integers() | st.sampled_from(["3", "hard", ""]),
        "subject": st.none() | st.text(),
        "exchangeable": st.booleans(),
        "choices": st.none() | st.lists(st.text()),
        "spent": st.none()
        | st.dictionaries(st.sampled_from(["generations", "wasted_tokens", "x"]), st.integers(0)),
    },
)


@given(st.builds(lambda a, b: {**a, **b}, pool_problems, unknown))
async def test_nothing_is_lost_between_import_and_export(row: dict[str, Any]) -> None:
    """All keys come back as they were; extracted answers come with them, where none was given."""
    problem = await imported(row)
    example = EXAMPLE.decode(EXAMPLE.encode(problem.example), "here")
    trace = TRACE.decode(TRACE.encode(problem.trace), "here")
    back = json.loads(json.dumps(export_problem(example, trace, problem.grades).row()))
    for given_, returned in zip(row["candidates"], back["candidates"], strict=True):
        if "answer" not in given_:
            returned.pop("answer", None)
    assert same(back, row)


def _run(verifier_scores: Mapping[str, tuple[float, ...] | None]) -> tuple[Example, Trace]:
    candidate = Candidate((0,), "It is =4", verifier_scores, 5, "length", Answer("4", "4"))
    cut = Candidate((1,), "It", {}, None, "aborted", None, votes=False)
    spent = Spent(generated=30, calls=2)
    trace = Trace("p", "sample", (), (), (candidate, cut), "4", (0,), spent)
    return Example(Problem.ask("2 + 2?", "p"), "4", "3", None, {"source": "book"}), trace


def test_a_run_is_exported_with_scores_steps_and_grades() -> None:
    example, trace = _run({"prm": (0.5, 0.75)})
    row = export_problem(example, trace, {(0,): True}, ranking="prm", aggregation="min").row()
    assert row == {
        "id": "p",
        "problem": "2 + 2?",
        "answer": "4",
        "level": 3,
        "source": "book",
        "exchangeable": True,
        "spent": {
            "generations": 2,
            "generated_tokens": 30,
            "prompt_tokens": 0,
            "verifier_tokens": 0,
            "wasted_tokens": 0,
        },
        "candidates": [
            {
                "text": "It is =4",
                "score": 0.5,
                "scores": {"prm": 0.5},
                "step_scores": [0.5, 0.75],
                "completion_tokens": 5,
                "finish_reason": "length",
                "answer": "4",
                "correct": True,
            },
            {"text": "It", "finish_reason": "abort", "votes": False},
        ],
    }


async def test_an_exported_run_votes_and_ranks_as_before() -> None:
    example, trace = _run({"prm": (0.5, 0.75), "orm": None})
    again = await imported(export_problem(example, trace, {}, ranking="prm").row())
    first, second = again.trace.candidates
    assert ranking_name(again.trace.candidates) == "score"
    assert first.scores["score"] == (0.75,)
    assert first.scores["orm"] is None
    assert (first.ended, first.answer, second.votes) == ("length", Answer("4", "4"), False)


def test_a_search_is_exported_as_not_exchangeable() -> None:
    example, trace = _run({})
    cut = Node((0,), (), "It", "length", cut=True)
    search = Trace("p", "dvts", (), (), trace.candidates, "4", (0,), Spent())
    bounded = Trace("p", "sample", (cut,), (), trace.candidates, "4", (0,), Spent())
    assert not export_problem(example, search, {}).exchangeable
    assert not export_problem(example, bounded, {}).exchangeable


@pytest.mark.parametrize(
    ("scores", "chosen", "expected"),
    [
        ({"score": (1.0,), "prm": (1.0,), "step_scores": (1.0,)}, None, "score"),
        ({"prm": (1.0,), "step_scores": (1.0,)}, None, "prm"),
        ({"step_scores": (1.0,)}, None, "step_scores"),
        ({"a": (1.0,), "b": (1.0,), "step_scores": (1.0,)}, None, "step_scores"),
        ({"score": (1.0,), "prm": (1.0,)}, "prm", "prm"),
        ({}, None, None),
    ],
)
def test_what_candidates_are_ranked_by(
    scores: Mapping[str, tuple[float, ...]], chosen: str | None, expected: str | None
) -> None:
    assert ranking_name([Candidate((0,), "", scores)], chosen) == expected


def test_a_score_that_is_missing_or_unclear_is_named() -> None:
    candidates = [Candidate((0,), "", {"a": (1.0,)}), Candidate((1,), "", {"b": (1.0,)})]
    with pytest.raises(UsageError, match="several scores, choose one by `--score`: a, b"):
        ranking_name(candidates)
    with pytest.raises(UsageError, match=r"called 'c' \(known: a, b\)"):
        ranking_name(candidates, "c")


async def test_the_public_pool_comes_back_as_it_was(test_data: Path) -> None:
    path = test_data / "completions" / "math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
    problems = read_pool(path)
    for problem, back in zip(problems, await import_pool(problems, AfterEquals()), strict=True):
        row = export_problem(back.example, back.trace, back.grades).row()
        for candidate in row["candidates"]:
            candidate.pop("answer", None)
        assert row == problem.row()
