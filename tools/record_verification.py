"""Writes the newest full test run into docs/verification.md.

    python tools/record_verification.py .results/test-long.xml docs/verification.md

Replaces everything below the heading "Newest full run"; older runs are in the file's history.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import junit

HEADING = "## Newest full run"
TOLD = ("ponder", "openvino-genai", "math-verify", "numpy", "torch", "transformers", "pytest")


def commit() -> str:
    """The commit that was tested, marked if the working tree differed from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def section(results: Sequence[junit.Result], today: datetime.date) -> str:
    """The run in Markdown: where it ran, the counts, each full-size test and the skipped ones."""
    versions = ", ".join(f"{name} {version(name)}" for name in TOLD)
    lines = [
        HEADING,
        "",
        f"- Date: {today.isoformat()}, commit `{commit()}`",
        f"- Platform: {platform.system()} {platform.machine()}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores",
        f"- Versions: {versions}",
        f"- Outcome: {junit.closing_line(results)}",
        "",
        "| test at full size | outcome | seconds |",
        "| --- | --- | ---: |",
    ]
    lines += [f"| `{r.name}` | {r.outcome} | {r.seconds:.1f} |" for r in results if r.full_size]
    skipped = [result for result in results if result.outcome == "skipped"]
    lines += ["", "Not run:", ""] if skipped else ["", "Nothing was left out."]
    lines += [f"- `{result.name}`: {result.reason}" for result in skipped]
    return "\n".join(lines) + "\n"


def main(results_file: str, page: str) -> int:
    """Rewrite the section; 0, since pytest has already told of failures."""
    results = junit.read(Path(results_file))
    before, heading, _ = Path(page).read_text().partition(HEADING)
    if not heading:
        sys.exit(f"{page} has no heading {HEADING!r}: add it where the run is to stand")
    Path(page).write_text(before + section(results, datetime.datetime.now(datetime.UTC).date()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
