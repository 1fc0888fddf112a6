"""Sample logs of lm-evaluation-harness and Inspect, as candidates."""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import UsageError
from ponder.evals.exchange.sources import Choices, read_source
from ponder.store.reading import RunReader
from tests.test_exchange import lines, ponder

DOC = {"question": "What is 2 + 3?", "answer": "Add.\n#### 5"}


def line(number: int, *texts: str, filter: str = "strict", right: float = 1.0, **more: Any) -> Any:
    return {
        "doc_id": number,
        "doc": DOC,
        "target": "Add.\n#### 5",
        "arguments": {"gen_args_0": {"arg_0": "Question: 2 + 3", "arg_1": {"until": ["\n"]}}},
        "resps": [list(texts)],
        "filtered_resps": ["5"],
        "filter": filter,
        "metrics": ["exact_match"],
        "doc_hash": "a1",
        "exact_match": right,
        **more,
    }


def test_a_generation_is_a_candidate_with_its_grade(tmp_path: Path) -> None:
    path = lines(tmp_path / "samples_gsm8k.jsonl", line(0, "So 5"), line(1, "So 6", right=0.0))
    source = read_source("lm-eval", path)
    first, second = source.problems
    assert (first.id, first.problem, first.answer) == ("gsm8k/0", "What is 2 + 3?", "5")
    (candidate,) = first.candidates
    assert (candidate.text, candidate.answer, candidate.correct) == ("So 5", "5", True)
    assert second.candidates[0].correct is False
    kept = first.row()["lm_eval"]
    assert kept["doc"] == DOC
    assert (kept["lines"][0]["doc_hash"], kept["lines"][0]["doc_id"]) == ("a1", 0)
    assert (source.study["grades"], source.study["task"]) == ("strict", "gsm8k")


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("samples_gsm8k_2024-08-21T10-11-12.345678.jsonl", "gsm8k/0"),
        ("samples_gsm8k_2025-01-02T10-11-12.345678.jsonl.gz", "gsm8k/0"),
        ("samples_aime_2024_2024-08-21T10-11-12.345678.jsonl", "aime_2024/0"),
        ("samples_minerva_math_algebra.jsonl", "minerva_math_algebra/0"),
        ("rows.jsonl", 0),
    ],
)
def test_every_task_has_ids_of_its_own(tmp_path: Path, name: str, id: object) -> None:
    """Two files of one task have the same ids; of two tasks they have not."""
    content = f"{json.dumps(line(0, 'So 5'))}\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (problem,) = read_source("lm-eval", tmp_path / name).problems
    assert problem.id == id


def test_several_filters_are_one_problem(tmp_path: Path) -> None:
    """The chosen filter's answer and grade count; the others' are kept."""
    path = lines(
        tmp_path / "samples.jsonl",
        line(0, "So 5", right=0.0, filtered_resps=["[invalid]"]),
        line(0, "So 5", filter="flexible"),
    )
    (strict,) = read_source("lm-eval", path).problems
    (flexible,) = read_source("lm-eval", path, Choices(grades="flexible")).problems
    assert (strict.candidates[0].answer, strict.candidates[0].correct) == ("", False)
    assert (flexible.candidates[0].answer, flexible.candidates[0].correct) == ("5", True)
    assert [one["filter"] for one in strict.row()["lm_eval"]["lines"]] == ["strict", "flexible"]
    with pytest.raises(UsageError, match=r"no line has the filter 'x' \(there are strict, flex"):
        read_source("lm-eval", path, Choices(grades="x"))


def test_repeats_are_candidates_without_a_grade(tmp_path: Path) -> None:
    """A metric is of what the filter chose, not of each sample."""
    path = lines(tmp_path / "samples.jsonl", line(0, "So 5", "So 6", "So 5"))
    (problem,) = read_source("lm-eval", path).problems
    assert [one.text for one in problem.candidates] == ["So 5", "So 6", "So 5"]
    assert [(one.answer, one.correct) for one in problem.candidates] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("change", "question"),
    [
        ({"doc": {"problem": "Sum?"}}, "Sum?"),
        ({"doc": {"text": "Sum?"}}, "Question: 2 + 3"),
        ({"doc": {}, "arguments": [["Q: 2 + 3", {"until": []}]]}, "Q: 2 + 3"),
        ({"doc": {}, "arguments": None}, ""),
    ],
)
def test_the_question_is_the_documents_or_the_prompt(
    tmp_path: Path, change: Mapping[str, Any], question: str
) -> None:
    path = lines(tmp_path / "samples.jsonl", line(0, "So 5", **change))
    assert read_source("lm-eval", path).problems[0].problem == question


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (line(1, resps=[[[-3.0, False]], [[-4.0, True]]]), "line 2: `resps` holds no generated"),
        (line(1, resps=[[[-3.0, False]]]), "only tasks that generate"),
        (line(1, resps="So 5"), "line 2: `resps`: .*got 'So 5'"),
        (line(0, "So 6"), "line 1: the document 0 has 2 lines of the filter 'strict'"),
        (line(1, "So 6", filter="other"), "line 2: the document 1 has 0 lines of the filter 'str"),
        ({"question": "?"}, "line 2: `doc_id`: Field required"),
    ],
)
def test_what_is_no_sample_log_is_one_clear_line(tmp_path: Path, row: Any, says: str) -> None:
    path = lines(tmp_path / "samples.jsonl", line(0, "So 5"), row)
    with pytest.raises(UsageError, match=says) as error:
        read_source("lm-eval", path)
    assert "\n" not in str(error.value)


def sample(name: Any, epoch: int, text: Any = "So 5", value: Any = "C", **more: Any) -> Any:
    choice = {"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}
    return {
        "id": name,
        "epoch": epoch,
        "input": "What is 2 + 3?",
        "target": "5",
        "output": {"model": "m", "choices": [choice], "usage": {"output_tokens": 7}},
        "scores": {"match": {"value": value, "answer": "5", "explanation": text}},
        "messages": [{"role": "user", "content": "What is 2 + 3?"}],
        "events": [{"event": "model"}],
        **more,
    }


def log(path: Path, *samples: Any, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A log as Inspect writes one, by the path's suffix."""
    if path.suffix == ".json":
        path.write_text(json.dumps({"version": 2, "status": "success", "samples": samples}))
        return path
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "status": "success"}))
        archive.writestr("summaries.json", "[]")
        for one in samples:
            name = f"samples/{one.get('id')}_epoch_{one.get('epoch')}.json"
            archive.writestr(name, json.dumps(one))
    return path


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_epochs_are_candidates(tmp_path: Path, name: str) -> None:
    path = log(
        tmp_path / name,
        sample(10, 1),
        sample(2, 2, "So 6", "I", metadata={"level": 4}),
        sample(2, 1, [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "So 5"}]),
    )
    source = read_source("inspect", path)
    first, second = source.problems
    assert (first.id, second.id) == (2, 10)
    assert (first.problem, first.answer) == ("What is 2 + 3?", "5")
    one, two = first.candidates
    assert (one.text, one.correct, one.answer, one.finish_reason) == ("So 5", True, "5", "stop")
    assert (two.text, two.correct, two.completion_tokens) == ("So 6", False, 7)
    kept = first.row()["candidates"][1]["inspect"]
    assert set(kept) == {"epoch", "scores"}
    assert kept["scores"]["match"]["explanation"] == "So 6"
    assert source.study["grades"] == "match"


def test_attachments_and_turns_are_read(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "attachment://abc"},
    ]
    attached = {"abc": "What is 2 + 3?", "def": "So 5"}
    one = sample("a", 1, "attachment://def", input=turns, attachments=attached, target=["5", "V"])
    (problem,) = read_source("inspect", log(tmp_path / "log.eval", one)).problems
    assert (problem.problem, problem.candidates[0].text) == ("What is 2 + 3?", "So 5")
    assert problem.answer is None
    assert problem.row()["inspect"]["target"] == ["5", "V"]


def test_an_epoch_that_failed_is_a_wrong_candidate(tmp_path: Path) -> None:
    path = log(
        tmp_path / "log.json", sample(1, 1), sample(1, 2, output={"model": "m"}, scores=None)
    )
    _, failed = read_source("inspect", path).problems[0].candidates
    assert (failed.text, failed.correct, failed.finish_reason) == ("", False, "error")
    text = sample(1, 2, error={"message": "lost"}, scores=None)
    _, broken = read_source("inspect", log(path, sample(1, 1), text)).problems[0].candidates
    assert (broken.text, broken.correct) == ("So 5", False)


def test_where_nothing_is_graded_a_failed_epoch_is_not_either(tmp_path: Path) -> None:
    """One grade among many would be no grading of the log."""
    path = tmp_path / "log.json"
    log(path, sample(1, 1, scores=None), sample(1, 2, output={"model": "m"}, scores=None))
    (problem,) = read_source("inspect", path).problems
    assert [one.correct for one in problem.candidates] == [None, None]


def test_one_failed_epoch_keeps_the_grades_of_all_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [sample(1, 1, "So 6", "C"), sample(1, 2, output={"model": "m"}, scores=None)]
    run = tmp_path / "run"
    assert ponder("import", "inspect", log(tmp_path / "log.json", *samples), "-o", run) == 0
    capsys.readouterr()
    assert ponder("report", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["grades"], report["first_n"]["oracle"]["2"]) == ("imported", 1.0)


def test_multiple_choice_is_read_and_graded_as_such(tmp_path: Path) -> None:
    """Without a scorer's word: by the letter, or the choice's text, among the sample's choices."""
    texts = ["Reasoning. ANSWER: B", "The answer is 5.", "ANSWER: D"]
    given: dict[str, Any] = {"choices": ["4", "5", "6"], "target": "B", "scores": None}
    path = log(
        tmp_path / "log.json", *(sample(1, n, text, **given) for n, text in enumerate(texts))
    )
    run = tmp_path / "run"
    assert ponder("import", "inspect", path, "-o", run) == 0
    with RunReader(run) as reader:
        (example,), (trace,) = reader.examples(), reader.traces()
        assert example.problem.choices == ("4", "5", "6")
        assert list(reader.grades("ours").values()) == [True, True, False]
        keys = [candidate.answer and candidate.answer.key for candidate in trace.candidates]
    assert keys[:2] == ["B", "B"]
    assert ponder("export", "pool", run, "-o", tmp_path / "pool.jsonl") == 0
    (problem,) = read_source("pool", tmp_path / "pool.jsonl").problems
    assert problem.choices == ["4", "5", "6"]


def test_choices_of_some_samples_alone_are_no_multiple_choice(tmp_path: Path) -> None:
    both = sample(1, 1, choices=["4", "5"]), sample(2, 1)
    assert read_source("inspect", log(tmp_path / "one.json", both[0])).answer == "choice"
    assert read_source("inspect", log(tmp_path / "two.json", *both)).answer == "math"


@pytest.mark.parametrize(
    ("value", "correct"),
    [("C", True), ("I", False), ("N", False), (1, True), (0.0, False), (True, True)]
    + [(value, None) for value in ("P", 0.5, "five", [1], None)],
)
def test_a_score_is_a_grade_where_it_says_so(tmp_path: Path, value: Any, correct: Any) -> None:
    path = log(tmp_path / "log.json", sample(1, 1, value=value))
    assert read_source("inspect", path).problems[0].candidates[0].correct is correct


def test_of_several_scorers_one_is_chosen(tmp_path: Path) -> None:
    scores = {"match": {"value": "I"}, "model_graded": {"value": "C"}}
    path = log(tmp_path / "log.json", sample(1, 1, scores=scores))
    (first,) = read_source("inspect", path).problems[0].candidates
    (other,) = read_source("inspect", path, Choices(grades="model_graded")).problems[0].candidates
    assert (first.correct, other.correct) == (False, True)
    with pytest.raises(UsageError, match=r"a score called 'x' \(known: match, model_graded\)"):
        read_source("inspect", path, Choices(grades="x"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("log.eval", b"no zip", "log.eval is no Inspect log: File is not a zip file"),
        ("log.json", b"{", "log.json is no Inspect log: Expecting"),
        (
            "log.json",
            b'{"samples": []}',
            "holds no samples: was it written with `--no-log-samples`",
        ),
        ("log.json", b'{"samples": [3]}', "a row must be a JSON object, got int"),
        ("log.json", b'{"samples": [{"id": 1}]}', "row 1: `input`: Field required"),
        ("log.csv", b"", "log.csv is no Inspect log: those are .eval and .json files"),
    ],
)
def test_what_is_no_inspect_log_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert ponder("import", "inspect", tmp_path / name, "-o", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_compression_that_python_does_not_know_names_the_mend(tmp_path: Path) -> None:
    """Newer logs are compressed by zstd, method 93."""
    path = log(tmp_path / "log.eval", sample(1, 1), compression=zipfile.ZIP_STORED)
    content = path.read_bytes()
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content = content[: at + place] + (93).to_bytes(2, "little") + content[at + place + 2 :]
    path.write_bytes(content)
    known = sys.version_info >= (3, 14)  # a Python that knows zstd sees that this is none
    says = "is no Inspect log" if known else "write it anew with `inspect log convert --to json`"
    with pytest.raises(UsageError, match=says):
        read_source("inspect", path)


def test_a_log_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = log(tmp_path / "log.eval", sample(1, 1))
    content = bytearray(path.read_bytes())
    at = content.find(b"samples/1_epoch_1.json") + 30
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"log.eval is no Inspect log: "):
        read_source("inspect", path)


def test_a_log_is_imported_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [
        sample(number, epoch, value="CI"[epoch - 1]) for number in (1, 2) for epoch in (1, 2)
    ]
    run, path = tmp_path / "run", log(tmp_path / "log.eval", *samples)
    assert ponder("import", "inspect", path, "-o", run) == 0
    capsys.readouterr()
    assert ponder("report", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n_problems"], report["grades"]) == (2, "imported")
    assert report["first_n"]["oracle"] == {"1": 1.0, "2": 1.0}
    assert report["curves"]["majority"]["1"]["tokens"] == 7


def test_tasks_of_one_group_are_merged(tmp_path: Path) -> None:
    runs = []
    for task in ("algebra", "geometry"):
        path = lines(tmp_path / f"samples_{task}.jsonl", line(0, "So 5"), line(1, "So 6"))
        runs.append(tmp_path / task)
        assert ponder("import", "lm-eval", path, "-o", runs[-1]) == 0
    assert ponder("merge", *runs, "-o", tmp_path / "all") == 0
    with RunReader(tmp_path / "all") as run:
        names = [example.problem.id for example in run.examples()]
    assert names == ["algebra/0", "algebra/1", "geometry/0", "geometry/1"]
