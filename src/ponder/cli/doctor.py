"""`ponder doctor`: what is there, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from ponder.backends.models import SMOLLM2, cache_folder, default_model
from ponder.cli.terminal import announce, output, print_json
from ponder.errors import PonderError


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    """What was found."""
    mend: str | None = None
    """The command that mends it; None: nothing is missing."""
    needed: bool = False
    """Without it the default model does not run."""


def doctor(
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the default model now, for use offline.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed and what is missing, with the command that mends it.

    Exits with 1 if the default model cannot run.

    Example: ponder doctor --fetch
    """
    if fetch:
        default_model(announce)
    found = list(findings())
    if as_json:
        print_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            _show(finding)
    missing = [finding.what for finding in found if finding.mend and finding.needed]
    if missing:
        raise PonderError(f"the default model cannot run: {', '.join(missing)} missing")


def findings() -> Iterator[Finding]:
    """Everything that ponder may need, looked at."""
    yield Finding("ponder", version("ponder"))
    yield Finding("Python", platform.python_version())
    yield Finding("machine", f"{platform.machine()}, {os.cpu_count()} cores, {_memory()}")
    yield _package("openvino-genai", "openvino_genai", "embedded", needed=True)
    yield _package("gguf", "gguf", "embedded", needed=True)
    for package in ("torch", "transformers"):
        yield _package(package, package, "verifiers")
    yield _package("datasets", "datasets", "data")
    model = cache_folder() / "models" / SMOLLM2.file
    if model.exists():
        yield Finding("default model", str(model))
    else:
        mend = "ponder doctor --fetch"
        yield Finding("default model", f"not fetched ({SMOLLM2.megabytes} MB)", mend, needed=True)
    space = shutil.disk_usage(_existing(cache_folder())).free / 1e9
    yield Finding("cache", f"{cache_folder()}, {space:.1f} GB free")
    key = "set" if os.environ.get("OPENAI_API_KEY") else "not set: only servers without a key"
    yield Finding("OPENAI_API_KEY", key)


def _package(name: str, module: str, extra: str, *, needed: bool = False) -> Finding:
    try:
        if find_spec(module) is not None:
            return Finding(name, version(name), needed=needed)
    except PackageNotFoundError:
        pass
    return Finding(name, "not installed", f"pip install 'ponder[{extra}]'", needed)


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{total / 2**30:.0f} GiB memory"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.resolve().parents) if path.exists())


def _show(finding: Finding) -> None:
    mark = (
        ("✗ ", "red") if finding.mend and finding.needed else ("· " if finding.mend else "✓ ", "")
    )
    line = Text.assemble(mark, (finding.what, "bold"), f"  {finding.state}")
    output().print(line, soft_wrap=True)
    if finding.mend:
        output().print(f"    {finding.mend}", markup=False, soft_wrap=True)
