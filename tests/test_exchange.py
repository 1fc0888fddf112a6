"""Candidates in the formats of tables and of huggingface/search-and-learn, there and back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from ponder.cli import main
from ponder.errors import StoreError, UsageError
from ponder.evals.exchange.exports import export_rows
from ponder.evals.exchange.files import table_bytes, write_rows
from ponder.evals.exchange.remainder import remainder, restored, same
from ponder.evals.exchange.sal_export import sal_row
from ponder.evals.exchange.sal_rows import pool_row
from ponder.evals.exchange.sources import approach_of, read_source
from ponder.evals.pool_export import export_problem
from ponder.evals.pool_import import import_problem
from ponder.evals.pools import PoolProblem
from ponder.evals.rows import Row, read_rows
from ponder.store.reading import RunReader
from ponder.store.records import EXAMPLE, TRACE
from ponder.store.run import RunStore
from ponder.trace import Trace
from ponder.types import NodePath, StepScores
from tests.playing import LastBox
from tests.test_cli import failing
from tests.test_pools import FULL, LEAST, pool_problems, unknown

SAL: dict[str, Any] = {
    "problem": "What is 2 + 3?",
    "solution": "Add them.",
    "answer": "5",
    "subject": "Algebra",
    "level": 1,
    "unique_id": "test/algebra/1.json",
    "completions": [
        "2 + 3 = 6\n\nSo \\boxed{6}",
        "2 + 3 = 5\n\nSo \\boxed{5}",
        "2 + 3 = 5\n\nThus \\boxed{5}",
        "Who knows",
    ],
    "scores": [[0.25, 0.5], [0.75, 0.9], [0.7, 0.1 + 0.2], [0.2]],
    "pred": "2 + 3 = 5\n\nSo \\boxed{5}",
    "completion_tokens": [12, 11, 13, 3],
    "agg_scores": [0.5, 0.9, 0.1 + 0.2, 0.2],
    "pred_weighted@1": "\\boxed{6}",
    "pred_maj@1": "\\boxed{6}",
    "pred_naive@1": "\\boxed{6}",
    "pred_weighted@2": "\\boxed{5}",
    "pred_maj@2": "\\boxed{6}",
    "pred_naive@2": "\\boxed{5}",
    "pred_weighted@4": "\\boxed{5}",
    "pred_maj@4": "\\boxed{5}",
    "pred_naive@4": "\\boxed{5}",
}


def ponder(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def added(run: Path, name: str) -> dict[tuple[str, NodePath], tuple[float, ...]]:
    """The step scores of an added set."""
    with RunReader(run) as reader:
        sets = reader.added_scores(name).items()
        return {at: one.scores.scores for at, one in sets if isinstance(one.scores, StepScores)}


def values(path: Path) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows(path)]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "", "ponder_json"]), json_values)


@given(objects, objects)
def test_a_remainder_restores_what_it_was_made_of(
    given_: dict[str, Any], rebuilt: dict[str, Any]
) -> None:
    assert same(restored(rebuilt, json.loads(json.dumps(remainder(given_, rebuilt)))), given_)
    assert remainder(given_, given_) == {}


@given(st.lists(objects, min_size=1, max_size=4))
def test_a_table_gives_back_every_row_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    """Nulls, missing keys, mixed types, big integers, lone surrogates and signed zeros too."""
    path = tmp_path_factory.getbasetemp() / "rows.parquet"
    path.write_bytes(table_bytes(rows))
    assert same([dict(row.values) for row in read_rows(path)], rows)


def test_what_fits_a_column_is_one_for_other_programs() -> None:
    rows = [SAL, {**SAL, "level": None, "scores": [[0.5], None, [1.0, 0.25], []]}]
    table = parquet.read_table(io.BytesIO(table_bytes(rows)))
    assert str(table.schema.field("scores").type) == "list<element: list<element: double>>"
    assert str(table.schema.field("level").type) == "int64"
    assert table.column("scores").to_pylist() == [row["scores"] for row in rows]
    assert table.column("ponder_json").to_pylist() == [None, '{"given": {"level": null}}']


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json", ".parquet"])
def test_every_file_format_gives_a_pool_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pool{suffix}"
    write_rows(path, [LEAST, FULL])
    assert same(values(path), [LEAST, FULL])
    assert list(tmp_path.iterdir()) == [path]
    (problem,) = read_source("pool", path).problems[1:]
    assert problem.row() == FULL


scored = st.none() | st.floats(0, 1) | st.lists(st.floats(0, 1) | st.integers(0, 1) | st.none())


@st.composite
def sal_rows(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(0, 3))

    def each(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(values, min_size=count, max_size=count)

    return draw(
        st.fixed_dictionaries(
            {
                "problem": st.text(),
                "answer": st.text() | st.none() | st.floats(allow_nan=False),
                "completions": each(st.text()),
            },
            optional={
                "scores": st.none() | each(scored),
                "agg_scores": st.none() | each(st.none() | st.floats(0, 1)),
                "completion_tokens": st.just(-1) | st.none() | each(st.none() | st.integers(-1, 9)),
                "unique_id": st.none() | st.text() | st.integers(),
                "id": st.text() | st.none(),
                "level": st.none() | st.integers() | st.text(),
                "subject": st.none() | st.text(),
                "solution": st.text(),
                "pred": st.text(),
                "pred_maj@1": st.text(),
                "candidates": json_values,
                "exchangeable": json_values,
                "sal": json_values,
            },
        )
    )


async def there_and_back(problem: PoolProblem, **settings: Any) -> dict[str, Any]:
    """The problem kept as a run keeps it, and exported to sal."""
    imported = await import_problem(problem, LastBox())
    example = EXAMPLE.decode(EXAMPLE.encode(imported.example), "here")
    trace = TRACE.decode(TRACE.encode(imported.trace), "here")
    again = export_problem(example, trace, {path: True for path in [(0,)] if trace.candidates})
    choices = {"ranking": None, "rescored": False, "aggregation": "last"} | settings
    row: dict[str, Any] = json.loads(json.dumps(sal_row(again, trace, **choices)))
    return row


@example({"problem": "", "answer": None, "completions": [], "unique_id": 0}, "best_of_n")
@given(sal_rows(), st.sampled_from(["best_of_n", "beam_search"]))
async def test_rows_of_sal_come_back_as_they_were(row: dict[str, Any], approach: Any) -> None:
    """All columns and nothing more, numbers of the same type, through a stored and graded run."""
    problem = PoolProblem.model_validate(pool_row(Row("here", row), approach))
    assert problem.exchangeable == (approach == "best_of_n")
    assert same(await there_and_back(problem), row)


@given(st.builds(lambda a, b: {**a, **b}, pool_problems, unknown))
async def test_a_pool_comes_back_from_sal(row: dict[str, Any]) -> None:
    """What sal has no column for stands in the column `ponder`."""
    problem = PoolProblem.model_validate(row)
    imported = await import_problem(problem, LastBox())
    sal = sal_row(problem, imported.trace, ranking=None, rescored=False, aggregation="last")
    back = pool_row(Row("here", json.loads(json.dumps(sal))), "best_of_n")
    assert same(back, problem.row())


def test_sal_columns_are_read_as_what_they_mean(tmp_path: Path) -> None:
    path = lines(tmp_path / "best_of_n_completions.jsonl", SAL)
    (problem,) = read_source("sal", path).problems
    first = problem.candidates[0]
    assert (problem.id, problem.answer, problem.level) == (SAL["unique_id"], "5", 1)
    assert (first.text, first.step_scores, first.completion_tokens) == (
        SAL["completions"][0],
        [0.25, 0.5],
        12,
    )
    assert problem.exchangeable


def test_aggregated_scores_rank_where_there_are_no_others() -> None:
    row = {key: value for key, value in SAL.items() if key != "scores"}
    candidates = pool_row(Row("here", row), "best_of_n")["candidates"]
    assert [one["score"] for one in candidates] == SAL["agg_scores"]


def test_a_score_that_is_missing_is_missing() -> None:
    row = {**SAL, "scores": [None, [0.5, None], [], 0.25], "completion_tokens": -1}
    candidates = pool_row(Row("here", row), "best_of_n")["candidates"]
    assert [set(one) for one in candidates] == [{"text"}, {"text"}, {"text"}, {"text", "score"}]


@pytest.mark.parametrize(
    ("name", "approach"),
    [
        ("best_of_n_completions.jsonl", "best_of_n"),
        ("Llama-3.2-1B-Instruct-beam-search-completions", "beam_search"),
        ("HuggingFaceH4/Llama-3.2-1B-Instruct-DVTS-completions", "dvts"),
        ("dvts-or-beam-search.jsonl", "best_of_n"),
        ("completions.jsonl", "best_of_n"),
    ],
)
def test_a_name_says_how_completions_came_about(name: str, approach: str) -> None:
    assert approach_of(name) == approach


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"problem": None}, "`problem`: .*got None"),
        ({"completions": "one"}, "`completions`: .*got 'one'"),
        ({"completions": ["a", 3, "b", "c"]}, r"`completions\[1\]`: .*got 3"),
        ({"completions": ["a"]}, "`scores` has 4 entries for 1 completions"),
        ({"scores": [[0.5], [0.5], ["0.5"], [0.5]]}, r"`scores\[2\]`: must be a list of numbers"),
        ({"scores": 0.5}, "`scores`: .*got 0.5"),
        ({"agg_scores": [1, 2, 3, "4"]}, r"`agg_scores\[3\]`: .*got '4'"),
        ({"completion_tokens": [1, 2]}, "`completion_tokens` has 2 entries for 4"),
        ({"answer": ["5"]}, r"`answer`: must be text or a number, got \['5'\]"),
        ({"ponder": "{"}, "`ponder` is not what ponder wrote there: leave the column out"),
        ({"ponder": '{"candidates": []}'}, "`ponder` was written for other completions"),
    ],
)
def test_what_is_no_row_of_sal_is_one_clear_line(
    tmp_path: Path, change: Mapping[str, object], says: str
) -> None:
    path = lines(tmp_path / "rows.jsonl", SAL, {**SAL, "unique_id": "q", **change})
    with pytest.raises(UsageError, match=says) as error:
        read_source("sal", path)
    assert "\n" not in str(error.value)
    assert "rows.jsonl, line 2: " in str(error.value) or "problem 'q'" in str(error.value)


def test_a_truncated_line_names_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "rows.jsonl", SAL)
    path.write_text(path.read_text() + json.dumps(SAL)[:-40])
    assert ponder("import", "sal", path, "-o", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert f"{path}, line 2: not JSON" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["rows.xlsx", "rows"])
def test_an_unknown_format_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ponder("import", "sal", lines(tmp_path / name, SAL), "-o", tmp_path / "run") == 2
    assert f"{name} is none of .jsonl" in capsys.readouterr().err
    assert ponder("export", "sal", tmp_path / "run", "-o", tmp_path / "new.xlsx") == 2
    assert "new.xlsx: its name must end in .jsonl" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the id 'test/algebra/1.json' stands in 2 lines"):
        read_source("sal", lines(tmp_path / "rows.jsonl", SAL, SAL))
    unnamed = {key: value for key, value in SAL.items() if key != "unique_id"}
    other = {**unnamed, "problem": "What else?"}
    said = r"the problem 'What is 2 \+ 3\?' stands in 2 lines \(line 1, line 3\) without an id"
    with pytest.raises(UsageError, match=said):
        read_source("sal", lines(tmp_path / "rows.jsonl", unnamed, other, unnamed))


def test_added_scores_take_the_place_of_a_pools_own_where_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "id": "p",
        "problem": "What is 2 + 2?",
        "answer": "4",
        "candidates": [
            {"text": "2 + 2 = 5", "answer": "5", "score": 0.9, "step_scores": [0.9], "mark": 1},
            {"text": "2 + 2 = 4", "answer": "4", "score": 0.1, "step_scores": [0.1]},
        ],
    }
    pool, out = lines(tmp_path / "pool.jsonl", row), tmp_path / "out.jsonl"
    assert ponder("import", "pool", pool, "-o", tmp_path / "run") == 0
    assert ponder("score", tmp_path / "run", "--verifier", "arithmetic", "--name", "sums") == 0
    assert ponder("export", "pool", tmp_path / "run", "-o", out) == 0
    assert [c["score"] for c in values(out)[0]["candidates"]] == [0.9, 0.1]
    assert ponder("export", "pool", tmp_path / "run", "-o", out, "--score", "sums") == 0
    wrong, right = values(out)[0]["candidates"]
    assert wrong["score"] < right["score"]
    assert (wrong["step_scores"], right["step_scores"]) == ([wrong["score"]], [right["score"]])
    assert wrong["mark"] == 1


def test_an_import_that_was_cut_short_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No problem is there without its grades, and the full disk is one line."""
    rows = [
        {"id": str(i), "answer": None, "candidates": [{"text": "", "answer": "4", "correct": True}]}
        for i in range(4)
    ]
    pool, run = lines(tmp_path / "pool.jsonl", *rows), tmp_path / "run"
    finish = RunStore.finish

    async def full_at_the_last(self: RunStore, trace: Trace, **options: Any) -> None:
        if trace.problem_id == "3":
            raise StoreError("the disk is full")
        await finish(self, trace, **options)

    monkeypatch.setattr("ponder.evals.pool_runs._TOGETHER", 2)
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "finish", full_at_the_last)
        status, line = failing(capsys, "import", "pool", pool, "-o", run)
    assert (status, line) == (1, "ponder: the disk is full\n")
    with pytest.warns(UserWarning, match="the import was cut short at [23] of 4 problems: import"):
        assert ponder("report", run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["first_n"]["majority"] == {"1": 1.0}
    assert ponder("import", "pool", pool, "-o", run) == 0
    capsys.readouterr()
    assert ponder("report", run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_problems"] == 4


def test_published_completions_are_reported_rescored_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: import, report, score by another verifier, grade, export."""
    other = {**SAL, "problem": "What is 1 + 1?", "unique_id": "2", "answer": "2"}
    source = lines(tmp_path / "best_of_n_completions.jsonl", SAL, other)
    run = tmp_path / "run"
    assert ponder("import", "sal", source, "-o", run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"problems": 2, "run": str(run)}

    assert ponder("report", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["first_n"]["best_of_n"] == {"1": 0.0, "2": 0.5, "4": 0.5}
    assert report["first_n"]["majority"] == {"1": 0.0, "2": 0.0, "4": 0.5}
    assert report["curves"]["majority"]["1"]["tokens"] == 39 / 4

    assert ponder("score", run, "--verifier", "arithmetic", "--json") == 0
    assert json.loads(capsys.readouterr().out)["added"] == 8
    steps = added(run, "arithmetic")
    wrong, right = steps[SAL["unique_id"], (0,)], steps[SAL["unique_id"], (1,)]
    assert len(wrong) == len(right) == 2, "steps are what the separator divides"
    assert wrong[0] < right[0]
    assert ponder("grade", run) == 0
    assert "2 of 8 candidates are right" in capsys.readouterr().out

    exported = tmp_path / "again.jsonl"
    assert ponder("export", "sal", run, "-o", exported) == 0
    assert same(values(exported), [SAL, other])
    assert list(values(exported)[0]) == list(SAL)

    assert ponder("export", "sal", run, "-o", exported, "--score", "arithmetic") == 0
    row = values(exported)[0]
    assert row["scores"] == [list(steps[SAL["unique_id"], (i,)]) for i in range(4)]
    assert {key: row[key] for key in ("completions", "solution", "completion_tokens")} == {
        key: SAL[key] for key in ("completions", "solution", "completion_tokens")
    }
    assert row["agg_scores"] == [scores[-1] for scores in row["scores"]]


def test_predictions_are_those_of_sal(tmp_path: Path) -> None:
    """A run that did not come from sal gets its columns, by the rules that made the published."""
    bare = {key: value for key, value in SAL.items() if not key.startswith(("pred", "agg"))}
    pool = pool_row(Row("here", bare), "best_of_n")
    pool.pop("sal")
    source = lines(tmp_path / "pool.jsonl", pool)
    run = tmp_path / "run"
    assert ponder("import", "pool", source, "-o", run) == 0
    (row,) = export_rows(run, "sal")
    assert {key: value for key, value in row.items() if key.startswith(("pred", "agg"))} == {
        key: value for key, value in SAL.items() if key.startswith(("pred", "agg"))
    }


def test_scores_that_no_candidate_has_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    ponder("import", "sal", lines(tmp_path / "rows.jsonl", SAL), "-o", run)
    capsys.readouterr()
    assert ponder("export", "sal", run, "--score", "prm") == 2
    assert "no candidate has a score called 'prm' (known: step_scores)" in capsys.readouterr().err


def test_a_search_keeps_its_name_and_gives_one_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    source = lines(tmp_path / "rows.jsonl", SAL)
    assert ponder("import", "sal", source, "-o", run, "--approach", "beam_search") == 0
    capsys.readouterr()
    assert ponder("report", run, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["curves"]["majority"]) == ["4"]
    assert ponder("export", "sal", run) == 0
    assert values(run / "beam_search_completions.jsonl") == [SAL]
    assert ponder("import", "sal", source, "-o", run) == 1
    assert 'approach is "beam_search" there, "best_of_n" here' in capsys.readouterr().err


def test_an_edited_or_other_pool_asks_for_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, pool = tmp_path / "run", lines(tmp_path / "pool.jsonl", LEAST)
    assert ponder("import", "pool", pool, "-o", run) == 0
    for source, why in (
        (lines(pool, {**LEAST, "level": 2}), "pool.jsonl has changed since"),
        (lines(tmp_path / "other.jsonl", {**LEAST, "level": 3}), "not those of other.jsonl"),
    ):
        capsys.readouterr()
        assert ponder("import", "pool", source, "-o", run) == 1
        line = capsys.readouterr().err
        assert f"holds the candidates of pool.jsonl, {why}: give `-o` another folder" in line
        assert "sha256" not in line


def test_a_file_takes_no_choices_of_the_hubs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, run = lines(tmp_path / "pool.jsonl", LEAST), tmp_path / "run"
    for option in ("--revision", "--config", "--split"):
        assert ponder("import", "pool", pool, "-o", run, option, "x") == 2
        assert f"{option} x is for a data set of the hub, and " in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    ("row", "answer", "status"),
    [
        ({**LEAST, "id": "a\ud800"}, "math", 2),
        (LEAST, "tests.playing:nothing_of_this_name", 2),
        (LEAST, "unheard-of", 2),
    ],
)
def test_a_refused_import_leaves_nothing(
    tmp_path: Path, row: dict[str, Any], answer: str, status: int
) -> None:
    source = lines(tmp_path / "pool.jsonl", row)
    run = tmp_path / "run"
    assert ponder("import", "pool", source, "-o", run, "--answer", answer) == status
    assert not run.exists()


@pytest.mark.parametrize("format", ["pool", "sal"])
def test_an_exported_search_tells_what_it_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    """With what it pruned, which is in no candidate; without that, nothing is told."""
    data = lines(tmp_path / "data.jsonl", {"problem": "2 + 3?", "answer": "5"})
    words = ["--engine", "scripted", "--model", "tests.playing:reasons", "--dataset", data]
    words += ["--strategy", "beam_search", "--n", 4, "--verifier", "tests.playing:judged"]
    assert ponder("run", *words, "-o", tmp_path / "run") == 0
    file = tmp_path / "beam_search.jsonl"
    assert ponder("export", format, tmp_path / "run", "-o", file) == 0
    (row,) = values(file)
    row.pop("spent" if format == "pool" else "ponder")
    lines(tmp_path / "bare-beam_search.jsonl", row)
    costs: list[dict[str, Any]] = []
    for source in ("beam_search", "bare-beam_search"):
        assert ponder("import", format, tmp_path / f"{source}.jsonl", "-o", tmp_path / source) == 0
    capsys.readouterr()
    for run in ("run", "beam_search", "bare-beam_search"):
        assert ponder("report", tmp_path / run, "--json") == 0
        (cost,) = json.loads(capsys.readouterr().out)["costs"].values()
        costs.append(cost)
    own, told, bare = costs
    assert own["generations"] > 4
    for axis in ("generations", "generated_tokens", "seconds"):
        assert told[axis] == own[axis]
    assert set(bare.values()) == {None}
    capsys.readouterr()
    words = ["compare", tmp_path / "run", tmp_path / "bare-beam_search", "--selector", "majority"]
    assert ponder(*words, "--axis", "generations") == 2
    assert "bare-beam_search does not tell generations" in capsys.readouterr().err


def test_a_pool_of_ids_alone_comes_back_with_its_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = {"problem": "2 + 3?", "answer": "5", "level": 2, "source": "a book"}
    data = lines(tmp_path / "data.jsonl", question)
    words = ["--engine", "scripted", "--model", "tests.playing:reasons", "--dataset", data]
    assert ponder("run", *words, "--n", 4, "-o", tmp_path / "run") == 0
    whole, bare = tmp_path / "whole.jsonl", tmp_path / "bare.jsonl"
    assert ponder("export", "pool", tmp_path / "run", "-o", whole) == 0
    assert ponder("export", "pool", tmp_path / "run", "--no-problems", "-o", bare) == 0
    ((row,), (kept,)) = values(whole), values(bare)
    assert kept == {key: row[key] for key in ("id", "exchangeable", "spent", "candidates")} | {
        "answer": None
    }
    again = tmp_path / "again"
    assert ponder("import", "pool", bare, "--dataset", data, "-o", again) == 0
    assert ponder("export", "pool", again, "-o", whole) == 0
    (back,) = values(whole)
    assert back == {key: value for key, value in row.items() if key != "source"}

    other = lines(tmp_path / "other.jsonl", {"problem": "3 + 3?", "answer": "6"})
    asked = {"problem": "3 + 3?", "answer": "6", "id": row["id"]}
    same_id = lines(tmp_path / "same-id.jsonl", asked)
    with_question = lines(tmp_path / "asked.jsonl", {**kept, "problem": "2 + 3?"})
    capsys.readouterr()
    for pool, dataset, says in (
        (bare, other, f"has no problem with the id '{row['id']}'"),
        (with_question, same_id, "is another one: '3 + 3?', not '2 + 3?'"),
    ):
        assert ponder("import", "pool", pool, "--dataset", dataset, "-o", tmp_path / "no") == 2
        assert says in capsys.readouterr().err
    assert ponder("export", "sal", tmp_path / "run", "--no-problems") == 2
    assert "--no-problems" in capsys.readouterr().err


def test_the_public_pool_goes_through_sal_and_parquet(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = test_data / "completions" / "math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
    pool = lines(tmp_path / "pool.jsonl", *values(whole)[:8])
    run, table, again = tmp_path / "run", tmp_path / "best_of_n.parquet", tmp_path / "again"
    assert ponder("import", "pool", pool, "-o", run, "--answer", "text") == 0
    assert ponder("export", "sal", run, "-o", table) == 0
    assert ponder("import", "sal", table, "-o", again, "--answer", "text") == 0
    capsys.readouterr()
    reports = []
    for folder in (run, again):
        assert ponder("report", folder, "--json") == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1]
    back = export_rows(again, "pool")
    for row, given_ in zip(back, values(pool), strict=True):
        for one, other in zip(row["candidates"], given_["candidates"], strict=True):
            if "answer" not in other:
                one.pop("answer", None)
        assert same(row, given_)
