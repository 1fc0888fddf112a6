"""Files that are written whole or not at all, and what is said where they cannot be."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ponder.errors import UsageError
from ponder.store.files import check_can_be_filled, check_is_folder, replace_file


def test_a_file_is_replaced_and_folders_above_it_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "one.txt"
    replace_file(path, "é")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [own.name for own in path.parent.iterdir()] == ["one.txt"]


def test_a_move_that_fails_leaves_what_was_there_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_draft: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "one.txt"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"cannot write .*one\.txt: No space left on device"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert [own.name for own in tmp_path.iterdir()] == ["one.txt"]


def test_a_folder_is_no_file_and_no_draft_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    with pytest.raises(UsageError, match="there: it is a folder, name a file in it"):
        replace_file(folder, "text")
    assert [own.name for own in tmp_path.iterdir()] == ["there"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("text")
    with pytest.raises(
        UsageError, match=r"cannot write .*there/one.txt: .*[Nn]ot a directory|File"
    ):
        replace_file(path / "one.txt", "text")
    with pytest.raises(UsageError, match="there is a file, and a folder is wanted"):
        check_is_folder(path)
    check_is_folder(tmp_path)
    check_is_folder(tmp_path / "none")


def test_a_place_to_write_in_is_checked_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_can_be_filled(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "in" / "it"):
        with pytest.raises(UsageError, match="file is a file, and a folder is wanted"):
            check_can_be_filled(place)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match=f"cannot write in {tmp_path}: name another place"):
        check_can_be_filled(tmp_path / "new")
