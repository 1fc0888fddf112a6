import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import MissingExtraError, UsageError
from ponder.evals.datasets import builtin_names, gym_process, load, load_set, named_sets, plain
from ponder.evals.datasets.gym import ENVIRONMENT, Task
from ponder.types import Example
from tests.gym_marks import NEEDS_GYM

ROW = {"id": "a", "problem": "1 + 1?", "answer": "2"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("file", "count", "id", "reference", "level"),
    [
        ("math500/math500.jsonl", 500, "test/precalculus/807.json", None, "2"),
        ("gsm8k/test.jsonl", 1319, None, "18", None),
        ("aime_amc/aime24_nemo.jsonl", 30, "aime24-0", "73", None),
        ("aime_amc/aime25.jsonl", 30, "aime25-0", "70", None),
        ("aime_amc/amc23.jsonl", 40, "0", "27", None),
        ("completions/gsm8k_openai_solutions.jsonl", 1319, None, "18", None),
    ],
)
def test_public_layouts_load_as_they_are(
    test_data: Path, file: str, count: int, id: str | None, reference: str | None, level: str | None
) -> None:
    examples = load(test_data / file)
    first = examples[0]
    assert len(examples) == count
    assert id is None or first.problem.id == id
    assert reference is None or first.reference == reference
    assert first.level == level
    assert len({example.problem.id for example in examples}) == count
    assert all(example.problem.question and example.reference for example in examples)


def test_every_gsm8k_reference_is_a_plain_number(test_data: Path) -> None:
    examples = load(test_data / "gsm8k" / "test.jsonl")
    assert all(re.fullmatch(r"-?\d+", example.reference or "") for example in examples)


def test_every_amc_reference_is_an_integer(test_data: Path) -> None:
    examples = load(test_data / "aime_amc" / "amc23.jsonl")
    assert all(re.fullmatch(r"-?\d+", example.reference or "") for example in examples)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("processbench/gsm8k.json", "row 1: this file holds rated steps"),
        ("prm800k/phase1_test.rows.jsonl.gz", "line 1: this file holds rated steps"),
        ("prm_examples/prm_card_examples.jsonl", "line 1: this file holds rated steps"),
        ("equivalence/math_verify_cases.jsonl", "line 1: this file holds answers to grade"),
        ("completions/math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl", "is a candidate pool"),
    ],
)
def test_files_of_another_kind_say_what_they_are(test_data: Path, file: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        load(test_data / file)
    assert "\n" not in str(error.value)


def test_a_parquet_file_names_the_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "set.parquet").touch()
    with pytest.raises(MissingExtraError, match=r"pyarrow is not installed.*ponder\[data\]"):
        load(tmp_path / "set.parquet")


class LocalTables(ModuleType):
    """Stands where pyarrow and its parquet module do: a file's bytes are its rows' JSON."""

    ArrowException = ArithmeticError

    def read_table(self, path: Path) -> "LocalTables":
        self.content = path.read_text()
        return self

    def to_pylist(self) -> object:
        if not self.content.startswith("["):
            raise self.ArrowException("no parquet file")
        return json.loads(self.content)


def test_a_parquet_file_is_read_through_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, LocalTables(name))
    (tmp_path / "set.parquet").write_text(json.dumps([ROW]))
    assert load(tmp_path / "set.parquet")[0].problem.id == "a"
    (tmp_path / "set.parquet").write_text("nonsense")
    with pytest.raises(UsageError, match=r"set.parquet cannot be read: no parquet file"):
        load(tmp_path / "set.parquet")


def test_a_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        load(tmp_path)


def test_a_row_becomes_an_example_and_unknown_columns_are_kept(tmp_path: Path) -> None:
    row = {**ROW, "level": 3, "subject": "Sums", "source": {"page": 7}}
    [example] = load(write(tmp_path / "set.jsonl", row))
    assert example.problem.id == "a"
    assert example.problem.question == "1 + 1?"
    assert (example.reference, example.level, example.subject) == ("2", "3", "Sums")
    assert example.extra == {"source": {"page": 7}}


def test_the_problem_never_holds_the_reference(tmp_path: Path) -> None:
    [example] = load(write(tmp_path / "set.jsonl", {**ROW, "answer": "the secret"}))
    assert "secret" not in repr(example.problem)


def test_an_id_is_the_hash_of_the_problem_when_there_is_none(tmp_path: Path) -> None:
    rows = [{"question": "1?", "answer": 1}, {"question": "2?", "answer": 2}]
    forward = {e.problem.question: e.problem.id for e in load(write(tmp_path / "a.jsonl", *rows))}
    back = {
        e.problem.question: e.problem.id for e in load(write(tmp_path / "b.jsonl", *rows[::-1]))
    }
    assert forward == back
    assert len(set(forward.values())) == 2


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".jsonl.gz"])
def test_file_formats(tmp_path: Path, suffix: str) -> None:
    rows = [ROW, {**ROW, "id": "b"}]
    lines = "\n\n".join(json.dumps(row) for row in rows)
    content = (json.dumps(rows) if suffix == ".json" else lines).encode()
    path = tmp_path / f"set{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert [example.problem.id for example in load(path)] == ["a", "b"]


def test_a_line_separator_within_a_text_ends_no_row(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({**ROW, "problem": "1\u2028+ 1?"}, ensure_ascii=False))
    assert load(path)[0].problem.question == "1\u2028+ 1?"


def test_map_names_columns(tmp_path: Path) -> None:
    row = {"frage": "1 + 1?", "loesung": 2, "nr": 9, "problem": "not this"}
    columns = {"problem": "frage", "answer": "loesung", "id": "nr"}
    [example] = load(write(tmp_path / "set.jsonl", row), map=columns)
    assert (example.problem.question, example.reference, example.problem.id) == ("1 + 1?", "2", "9")


def test_ids_and_limit_pick_in_the_order_of_the_set(tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", *({**ROW, "id": name} for name in "abcd"))
    assert [e.problem.id for e in load(path, ids=["d", "b", "a"])] == ["a", "b", "d"]
    assert [e.problem.id for e in load(path, ids=["d", "b", "a"], limit=2)] == ["a", "b"]
    assert [e.problem.id for e in load(path, limit=9)] == list("abcd")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("[]\n", "line 1: a row must be a JSON object, got list"),
        (json.dumps(ROW) + "\n{'id': 1}", "line 2: not JSON"),
        ('{"problem": NaN, "answer": 1}', "line 1: not JSON: NaN is no JSON value"),
        ("[" * 100_000, "line 1: not JSON"),
        ('{"problem": "1?"}', "no `answer`.*--map answer=COLUMN .there are problem"),
        ('{"problem": "1?", "answer": null}', "line 1: `answer` is empty, got null: fill it"),
        ('{"problem": "1?", "ground_truth": ""}', '`ground_truth` is empty, got "": fill it'),
        ('{"answer": "1"}', "no `problem` or `question`.*--map problem=COLUMN"),
        ('{"problem": ["1?"], "answer": "1"}', "line 1: `problem` must be text or a number"),
        (
            '{"problem": "1?", "answer": true}',
            "line 1: `answer` must be text or a number, got True",
        ),
        ('{"problem": "1?", "answer": " "}', "line 1: `answer` must be text or a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "set.jsonl").write_text(content)
    with pytest.raises(UsageError, match=says) as error:
        load(tmp_path / "set.jsonl")
    assert "set.jsonl" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("set.jsonl", b"\xff\xfe"), ("set.jsonl.gz", b"no gzip"), ("set.jsonl.gz", b"\x1f\x8b\x08")],
)
def test_unreadable_bytes_are_one_clear_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / name)


def test_a_json_file_must_hold_an_array(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(json.dumps(ROW))
    with pytest.raises(UsageError, match="must hold a JSON array"):
        load(tmp_path / "set.json")


def test_duplicate_ids_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the id 'a' stands in 2 rows \(line 1, line 3\)"):
        load(write(tmp_path / "set.jsonl", ROW, {**ROW, "id": "b"}, ROW))


def test_a_question_twice_without_ids_is_told_by_its_lines(tmp_path: Path) -> None:
    same = {"problem": "1?", "answer": "1"}
    told = r"the same question stands in 7 rows \(line 1, line 3, line 4, line 5, line 6, \.\.\.\)"
    with pytest.raises(UsageError, match=told):
        load(write(tmp_path / "set.jsonl", same, {**same, "problem": "2?"}, *[same] * 6))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limit": 0}, "`limit` must be at least 1, got 0"),
        ({"ids": ["z"]}, "no problem with the id 'z'"),
        ({"map": {"question": "q"}}, "`map` can name id, problem, answer, .*got 'question'"),
        ({"map": {"answer": "gold"}}, "no `gold`"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    tmp_path: Path, options: Mapping[str, object], says: str
) -> None:
    path = write(tmp_path / "set.jsonl", ROW)
    with pytest.raises(UsageError, match=says):
        load(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("math", "there is no data set 'math'.*openai/gsm8k"),
    ],
)
def test_an_unknown_data_set_is_named(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(name)


def test_a_file_of_no_known_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"set.txt is none of .jsonl"):
        load(write(tmp_path / "set.txt", ROW))


def test_built_in_sets_load_by_name() -> None:
    for name in builtin_names():
        assert all(example.reference for example in load(name))


def test_the_hub_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[data\]'"):
        load("openai/gsm8k")


class LocalHub(ModuleType):
    """Stands where the hub's library does: rows by (name, configuration, split)."""

    def __init__(self, tables: Mapping[tuple[str, str | None, str], Sequence[object]]) -> None:
        super().__init__("datasets")
        self.tables = tables

    def load_dataset(self, path: str, name: str | None, *, split: str) -> Sequence[object]:
        if (path, name, split) not in self.tables:
            raise FileNotFoundError(f"Dataset '{path}' doesn't exist\nor is private")
        return self.tables[path, name, split]


PUBLISHED: dict[str, tuple[tuple[str, str | None, str], dict[str, object], str]] = {
    "math500": (
        ("HuggingFaceH4/MATH-500", None, "test"),
        {"problem": "1+1?", "solution": "...", "answer": "2", "unique_id": "a/1.json"},
        "2",
    ),
    "gsm8k": (
        ("openai/gsm8k", "main", "test"),
        {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 1,002"},
        "1002",
    ),
    "aime24": (
        ("HuggingFaceH4/aime_2024", None, "train"),
        {"id": 60, "problem": "1+1?", "solution": "...", "answer": "002", "year": "2024"},
        "002",
    ),
    "aime25": (("math-ai/aime25", None, "test"), {"problem": "1?", "answer": "1", "id": "0"}, "1"),
    "amc23": (("math-ai/amc23", None, "test"), {"id": 0, "question": "1?", "answer": 27.0}, "27"),
    "olympiadbench": (
        ("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train"),
        {
            "id": 1606,
            "context": "Let $x=1$.",
            "question": "Find $x$ and $y$.",
            "final_answer": ["$1$, $\\frac{1}{2}$"],
            "subfield": "Algebra",
            "difficulty": "Competition",
        },
        r"1, \frac{1}{2}",
    ),
    "minerva": (
        ("math-ai/minervamath", None, "test"),
        {"question": "1?", "answer": "4.5e33"},
        "4.5e33",
    ),
    "gpqa": (
        ("Idavidrein/gpqa", "gpqa_diamond", "train"),
        {
            "Record ID": "rec0",
            "Question": "Which?",
            "Correct Answer": "right\n",
            "Incorrect Answer 1": "wrong 1",
            "Incorrect Answer 2": "wrong 2",
            "Incorrect Answer 3": "wrong 3",
            "High-level domain": "Physics",
            "Subdomain": "Optics",
        },
        "",
    ),
}
"""A row as each published set holds it, and its reference."""


def served(monkeypatch: pytest.MonkeyPatch, place: object, rows: Sequence[object]) -> None:
    monkeypatch.setitem(sys.modules, "datasets", LocalHub({place: rows}))  # type: ignore[dict-item]


def test_every_published_set_is_in_the_table() -> None:
    assert sorted(named_sets()) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_sets_load_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, row, reference = PUBLISHED[name]
    served(monkeypatch, place, [row])
    (example,), answer = load_set(name)
    assert answer == ("choice" if name == "gpqa" else "math")
    assert name == "gpqa" or example.reference == reference
    assert load(name.upper()) == load(place[0]) == (example,)


def test_a_context_comes_before_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    place, row, _ = PUBLISHED["olympiadbench"]
    served(monkeypatch, place, [row, {**row, "id": 2, "context": None}])
    first, second = load("olympiadbench")
    assert first.problem.question == "Let $x=1$.\n\nFind $x$ and $y$."
    assert second.problem.question == "Find $x$ and $y$."
    assert (first.subject, first.level, first.problem.id) == ("Algebra", "Competition", "1606")


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("math500", "math500/math500.jsonl", 500),
        ("gsm8k", "gsm8k/test.jsonl", 1319),
        ("aime24", "aime_amc/aime24_nemo.jsonl", 30),
        ("aime25", "aime_amc/aime25.jsonl", 30),
        ("amc23", "aime_amc/amc23.jsonl", 40),
    ],
)
def test_whole_published_sets_load_by_name(
    monkeypatch: pytest.MonkeyPatch, test_data: Path, name: str, file: str, count: int
) -> None:
    rows = [json.loads(line) for line in (test_data / file).read_text().split("\n") if line]
    served(monkeypatch, PUBLISHED[name][0], rows)
    assert load(name) == load(test_data / file)
    assert len(load(name)) == count


def gpqa(monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[Example, ...]:
    place, row, _ = PUBLISHED["gpqa"]
    served(monkeypatch, place, [{**row, "Record ID": f"rec{i}"} for i in range(count)])
    return load("gpqa")


def test_gpqa_choices_are_shuffled_by_the_id_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = gpqa(monkeypatch, 200)
    for example in examples:
        assert sorted(example.problem.choices) == ["right", "wrong 1", "wrong 2", "wrong 3"]
        assert example.problem.choices["ABCD".index(example.reference or "")] == "right"
        assert f"{example.reference}) right" in example.problem.question
    assert gpqa(monkeypatch, 200) == examples
    assert gpqa(monkeypatch, 3) == examples[:3]
    places = Counter(example.reference for example in examples)
    assert set(places) == set("ABCD")
    assert min(places.values()) >= 30  # of 50 expected
    assert len({example.problem.choices for example in examples}) == 24
    assert (examples[0].subject, examples[0].level) == ("Physics", "Optics")


def test_a_gated_set_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, ("no", None, "test"), [])
    with pytest.raises(UsageError, match=r"gated: agree .*/Idavidrein/gpqa, .*HF_TOKEN") as error:
        load("gpqa")
    assert "\n" not in str(error.value)


def test_a_hub_out_of_reach_is_no_matter_of_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = LocalHub({})
    monkeypatch.setattr(hub, "load_dataset", out_of_reach)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    with pytest.raises(UsageError, match="gpqa cannot be read from the hub: Couldn't") as error:
        load("gpqa")
    assert "gated" not in str(error.value)


def out_of_reach(path: str, name: str | None, *, split: str) -> Sequence[object]:
    raise ConnectionError(f"Couldn't reach '{path}' on the Hub (LocalEntryNotFoundError)")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("some/set", ("some/set", None, "test")),
        ("some/set:small", ("some/set", "small", "test")),
        ("some/set::train", ("some/set", None, "train")),
        ("gsm8k:socratic:train", ("openai/gsm8k", "socratic", "train")),
        ("MATH_500", ("HuggingFaceH4/MATH-500", None, "test")),
    ],
)
def test_a_hub_name_may_say_configuration_and_split(
    monkeypatch: pytest.MonkeyPatch, name: str, place: object
) -> None:
    served(monkeypatch, place, [ROW])
    assert load(name)[0].problem.id == "a"
    with pytest.raises(UsageError, match="other/set cannot be read from the hub: Dataset") as error:
        load("other/set")
    assert "\n" not in str(error.value)


CHOICES = {"id": "a", "question": "Which?", "options": ["one", "two", "three"]}


@pytest.mark.parametrize("answer", ["B", "b", "two", 1, 1.0, "1"])
def test_the_right_choice_is_a_letter_a_text_or_a_place(tmp_path: Path, answer: object) -> None:
    (example,), kind = load_set(write(tmp_path / "set.jsonl", {**CHOICES, "answer": answer}))
    assert kind == "choice"
    assert example.reference == "B"
    assert example.problem.choices == ("one", "two", "three")
    assert example.problem.question == "Which?\n\nA) one\nB) two\nC) three"


def test_labels_of_choices_are_their_names(tmp_path: Path) -> None:
    listed = {"text": ["7", "2", "1"], "label": ["1", "2", "3"]}
    row = {"question": "Which?", "choices": listed, "answerKey": "1"}
    [example] = load(write(tmp_path / "set.jsonl", row), map={"answer": "answerKey"})
    assert example.reference == "A"


def test_columns_of_a_table_are_choices(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text('id,question,one,two,answer\n7,"Which,\nthen?",yes,no,no\n8,Or?,a,b,A\n')
    (first, second), kind = load_set(path, map={"choices": "one+two"})
    assert kind == "choice"
    assert first.problem.question == "Which,\nthen?\n\nA) yes\nB) no"
    assert (first.problem.id, first.reference, second.reference) == ("7", "B", "A")


def test_choices_may_end_early_but_have_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("question,one,two,three,answer\nWhich?,yes,no,,B\n")
    [example] = load(path, map={"choices": "one+two+three"})
    assert example.problem.choices == ("yes", "no")
    path.write_text("question,one,two,three,answer\nWhich?,yes,,no,B\n")
    with pytest.raises(UsageError, match="row 1: the choice `two` is empty"):
        load(path, map={"choices": "one+two+three"})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"answer": 1.5}, "got 1.5"),
        ({"answer": "four"}, "line 1: `answer` names none of the 3 choices, got 'four'.*up to C"),
        ({"answer": 3}, "`answer` names none of the 3 choices, got 3"),
        ({"answer": -1}, "got -1"),
        ({"answer": True}, "got True"),
        ({"answer": "A", "options": "one"}, "`options` must be a list of 2 to 26 texts, got 'one'"),
        ({"answer": "A", "options": ["one"]}, "must be a list of 2 to 26"),
        ({"answer": "A", "options": ["one", ""]}, "must be a list of 2 to 26"),
        ({"answer": "A", "options": {"text": ["a", "b"], "label": ["x"]}}, "must be a list of 2"),
    ],
)
def test_choices_that_cannot_be_used_are_named(
    tmp_path: Path, row: Mapping[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as error:
        load(write(tmp_path / "set.jsonl", {**CHOICES, **row}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("problem,answer\n1?,2,3\n", "row 1: it has more values than there are columns"),
        ("problem,answer\n1?\n", "row 1: `answer` is empty, got null"),
        ('problem,answer\n"1?,2\n', "line 1: not CSV"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "set.csv").write_text(content)
    with pytest.raises(UsageError, match=says):
        load(tmp_path / "set.csv")


GYM = "reasoning-gym:chain_sum"


def asked(name: str, **knobs: object) -> str:
    return json.dumps(Task(name, 20, 3, knobs)._asdict())


@NEEDS_GYM
def test_reasoning_gym_makes_problems_by_name() -> None:
    examples, kind = load_set(f"{GYM}:size=5,seed=3,max_terms=2", limit=4)
    assert kind == "reasoning-gym"
    assert [example.problem.id for example in examples] == [f"chain_sum-3-{i}" for i in range(4)]
    for example in examples:
        terms = re.search(r"[\d+ -]+(?= =)", example.problem.question)
        assert terms is not None
        numbers = map(int, re.findall(r"[+-]?\d+", terms[0].replace(" ", "")))
        assert sum(numbers) == int(example.reference or "")


@NEEDS_GYM
def test_a_task_that_draws_from_sets_is_the_same_in_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        made.append(load("reasoning-gym:isomorphic_strings:size=20"))
    assert made[0] == made[1]


@NEEDS_GYM
@pytest.mark.parametrize("task", ["chain_sum", "list_functions"])
def test_a_problem_depends_on_its_task_and_index_alone(task: str) -> None:
    described = json.loads(asked(task))
    made = [[gym_process.entry_of(described, i)["question"] for i in order] for order in ORDERS]
    assert sorted(made[0]) == sorted(made[1])
    assert len(set(made[0])) > 10


ORDERS = (range(20), range(19, -1, -1))


EVERY_TASK = """
import contextlib, json, sys
from reasoning_gym.factory import DATASETS
from ponder.evals.datasets.gym_process import entry_of, score

for name in sorted(DATASETS.keys() - {"composite"}):
    task = {"name": name, "size": 3, "seed": 0, "knobs": {}}
    for index in range(3):
        with contextlib.redirect_stdout(sys.stderr):
            entry = entry_of(task, index)
            question, answer, this = entry["question"], entry["answer"], {**task, "index": index}
            right = None if answer is None else score(this, question, str(answer))
        print(json.dumps([name, question, right]))
"""


@NEEDS_GYM
@pytest.mark.long
def test_every_task_is_the_same_in_every_process_and_scores_its_own_answer_fully() -> None:
    command = [sys.executable, "-c", EVERY_TASK]
    environment = {**os.environ, **ENVIRONMENT}
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    entries = [json.loads(line) for line in first.splitlines()]
    assert len(entries) > 300
    assert {name for name, _, right in entries if right is None} == MANY_RIGHT
    assert {name for name, _, right in entries if right not in (None, 1)} == set()


MANY_RIGHT = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
"""Tasks that name no answer."""


@NEEDS_GYM
def test_what_a_task_prints_is_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert gym_process.main([asked("bf")]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 20


@NEEDS_GYM
def test_a_task_of_many_right_answers_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert gym_process.main([asked("graph_color")]) == 0
    questions = json.loads(capsys.readouterr().out)
    assert len(questions) == 20
    assert [answer for _, answer in questions] == [None] * 20


@NEEDS_GYM
@pytest.mark.parametrize(
    ("task", "says"),
    [
        (asked("chain_sums"), "there is no task 'chain_sums': use one of ab, "),
        (asked("chain_sum", terms=2), "chain_sum has no knob 'terms': it has .*max_terms"),
        (asked("chain_sum", max_terms=0), "the task refuses its knobs: "),
        (asked("chain_sum", max_terms="x"), "the task refuses its knobs: "),
        (asked("composite"), "the task refuses its knobs: "),
    ],
)
def test_a_task_that_cannot_be_made_is_one_line(
    capsys: pytest.CaptureFixture[str], task: str, says: str
) -> None:
    assert gym_process.main([task]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.match(says, said.err)
    assert said.err.count("\n") == 1


@NEEDS_GYM
@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"{GYM}s", "reasoning-gym:chain_sums cannot be made: there is no task 'chain_sums'"),
        (f"{GYM}:size=0", "`size` must be a whole number from 1 on, got 0"),
        (f"{GYM}:size=many", "`size` must be a whole number from 1 on, got 'many'"),
        (f"{GYM}:seed=-1", "`seed` must be a whole number from 0 on, got -1"),
        (f"{GYM}:50", "write KEY=VALUE after the task, got '50'"),
    ],
)
def test_a_task_that_cannot_be_made_is_one_clear_line(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        load(name)
    assert "\n" not in str(error.value)


def test_reasoning_gym_has_no_columns() -> None:
    with pytest.raises(UsageError, match="has no columns: leave `map` out"):
        load(GYM, map={"problem": "question"})


def test_reasoning_gym_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[gym\]'"):
        load(GYM)


@given(st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False))
def test_plain_keeps_a_number(number: float) -> None:
    assert float(plain(number) or "nan") == float(number)


def test_plain_writes_whole_floats_as_integers_and_refuses_what_is_no_scalar() -> None:
    assert [plain(value) for value in (142.0, 2.5, "142.0")] == ["142", "2.5", "142.0"]
    odd: list[object] = [None, True, [1], {}]
    assert [plain(value) for value in odd] == [None] * 4
