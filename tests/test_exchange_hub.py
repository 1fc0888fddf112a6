"""Candidates pushed to the hub and pulled from it, against a hub on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from pyarrow import parquet

from ponder.errors import UsageError
from ponder.evals.exchange.files import table_bytes
from ponder.evals.exchange.hub import HubSet, pull, push
from ponder.evals.exchange.remainder import same
from tests.fake_hub import FakeHub, hub
from tests.test_exchange import SAL, lines, ponder, values
from tests.test_pools import FULL, LEAST

NAME = "someone/Tiny-beam_search-prm-completions"
BRANCH = "HuggingFaceH4_MATH-500--T-0.8--top_p-1.0--n-4--seed-0--agg_strategy-last"
PUSHED = "data/train-00000-of-00001.parquet"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with hub() as listening:
        monkeypatch.setenv("HF_ENDPOINT", listening.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield listening


def test_rows_come_back_from_the_branch_they_were_pushed_to(fake: FakeHub) -> None:
    url = push([LEAST, FULL], NAME, revision=BRANCH)
    pulled = pull(HubSet(NAME, revision=BRANCH))
    assert same([dict(row.values) for row in pulled.rows], [LEAST, FULL])
    assert url == f"{fake.url}/datasets/{NAME}/commit/{pulled.commit}"
    assert fake.sets[NAME]["main"] == {}
    assert pulled.rows[1].where == f"{NAME}/{PUSHED}, row 2"


def test_what_is_pushed_takes_the_place_of_the_data_before(fake: FakeHub) -> None:
    fake.commit(NAME, "main", {"README.md": b"", "data/train-00001-of-00002.parquet": b"old"})
    push([LEAST], NAME)
    assert set(fake.sets[NAME]["main"]) == {"README.md", PUSHED}
    push([FULL], NAME)
    assert [dict(row.values) for row in pull(HubSet(NAME)).rows] == [FULL]


def test_a_run_is_pushed_and_pulled_by_the_commands(
    fake: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    source = lines(tmp_path / "beam_search_completions.jsonl", SAL)
    assert ponder("import", "sal", source, "-o", first) == 0
    capsys.readouterr()
    words = ("--hub", NAME, "--revision", BRANCH, "--json")
    assert ponder("export", "sal", first, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == 1
    assert told["sal"].startswith(f"{fake.url}/datasets/{NAME}/commit/")
    table = parquet.read_table(io.BytesIO(fake.sets[NAME][BRANCH][PUSHED]))
    assert table.column("completions").to_pylist() == [SAL["completions"]]

    assert ponder("import", "sal", NAME, "-o", again, "--revision", BRANCH) == 0
    assert ponder("export", "sal", again, "-o", tmp_path / "back.jsonl") == 0
    assert values(tmp_path / "back.jsonl") == [SAL]
    capsys.readouterr()
    assert ponder("report", again, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["curves"]["majority"]) == ["4"], "a search"


def test_configurations_and_splits_are_folders_and_file_names(fake: FakeHub) -> None:
    def table(name: str) -> bytes:
        return table_bytes([{"id": name}])

    fake.commit(
        NAME,
        "main",
        {
            "README.md": b"",
            "n-4/train-00000-of-00002.parquet": table("a"),
            "n-4/train-00001-of-00002.parquet": table("b"),
            "n-16/train.jsonl": b'{"id": "c"}\n',
            "n-16/test.jsonl": b'{"id": "d"}\n',
        },
    )

    def ids(**asked: str) -> list[object]:
        return [row.values["id"] for row in pull(HubSet(NAME, **asked)).rows]

    assert ids(config="n-4") == ["a", "b"]
    assert ids(config="n-16", split="test") == ["d"]
    with pytest.raises(UsageError, match=r"give `--config`, one of n-16, n-4$"):
        ids()
    with pytest.raises(UsageError, match=r"give `--config`, one of n-16, n-4$"):
        ids(config="n-64")
    with pytest.raises(UsageError, match=r"give `--split`, one of test, train$"):
        ids(config="n-16")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("someone/nothing",), "someone/nothing cannot be read from the hub: 404"),
        ((NAME, "--revision", "nowhere"), f"{NAME} cannot be read from the hub: 404"),
        ((NAME,), f"{NAME} holds no data"),
    ],
)
def test_what_the_hub_does_not_hold_is_one_line(
    fake: FakeHub,
    tmp_path: Path,
    words: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.commit(NAME, "main", {"README.md": b""})
    assert ponder("import", "sal", *words, "-o", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_hub_that_cannot_be_reached_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(UsageError, match=f"{NAME} cannot be read from the hub: .*refused"):
        pull(HubSet(NAME))


def test_a_name_that_cannot_be_is_refused(fake: FakeHub) -> None:
    with pytest.raises(UsageError, match=r"cannot push to a--b/c: "):
        push([LEAST], "a--b/c")
    assert fake.sets == {}
