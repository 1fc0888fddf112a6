import gzip
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import MissingExtraError, UsageError
from ponder.evals.datasets import builtin_names, load, plain

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
    with pytest.raises(UsageError, match="the id 'a' stands in 2 rows"):
        load(write(tmp_path / "set.jsonl", ROW, {**ROW, "id": "b"}, ROW))


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
    with pytest.raises(UsageError, match=r"set.csv is none of .jsonl"):
        load(write(tmp_path / "set.csv", ROW))


def test_built_in_sets_load_by_name() -> None:
    for name in builtin_names():
        assert all(example.reference for example in load(name))


def test_the_hub_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[data\]'"):
        load("openai/gsm8k")


class LocalHub(ModuleType):
    """Stands where the hub's library does: rows by (name, configuration, split)."""

    def __init__(self, tables: Mapping[tuple[str, str | None, str], list[object]]) -> None:
        super().__init__("datasets")
        self.tables = tables

    def load_dataset(self, path: str, name: str | None, *, split: str) -> list[object]:
        if (path, name, split) not in self.tables:
            raise FileNotFoundError(f"Dataset '{path}' doesn't exist\nor is private")
        return self.tables[path, name, split]


@pytest.mark.parametrize(
    ("name", "configuration"),
    [("openai/gsm8k", "main"), ("HuggingFaceH4/MATH-500", None), ("some/set", None)],
)
def test_hub_sets_load_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, configuration: str | None
) -> None:
    hub = LocalHub({(name, configuration, "test"): [ROW]})
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert load(name)[0].problem.id == "a"
    with pytest.raises(UsageError, match="other/set cannot be read from the hub: Dataset") as error:
        load("other/set")
    assert "\n" not in str(error.value)


@given(st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False))
def test_plain_keeps_a_number(number: float) -> None:
    assert float(plain(number) or "nan") == float(number)


def test_plain_writes_whole_floats_as_integers_and_refuses_what_is_no_scalar() -> None:
    assert [plain(value) for value in (142.0, 2.5, "142.0")] == ["142", "2.5", "142.0"]
    odd: list[object] = [None, True, [1], {}]
    assert [plain(value) for value in odd] == [None] * 4
