"""Writes a mutation run into docs/verification.md.

    python tools/record_mutations.py mutants/mutmut-cicd-stats.json docs/verification.md

Ends with 1 where fewer than 85 % of the mutants were killed, and where some were not tried: mutmut
goes on where it was stopped. A mutant that made the tests run past their time limit counts as
killed.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import record_verification

HEADING = "## Newest mutation run"
LEAST = 0.85


def killed(counts: dict[str, int]) -> int:
    """Mutants that a test noticed."""
    return counts["killed"] + counts["timeout"] + counts["segfault"]


def tried(counts: dict[str, int]) -> int:
    """Mutants that the tests were run on, or that no test reaches."""
    return killed(counts) + counts["survived"] + counts["no_tests"] + counts["suspicious"]


def killed_share(counts: dict[str, int]) -> float:
    """Of the mutants that were tried."""
    return killed(counts) / tried(counts) if tried(counts) else 0.0


def section(counts: dict[str, int], today: datetime.date, tool: str) -> str:
    """The run in Markdown: where it ran, by which tool, and the counts."""
    names = ("killed", "timeout", "survived", "no_tests", "suspicious", "total")
    return "\n".join(
        [
            HEADING,
            "",
            f"- Date: {today.isoformat()}, commit `{record_verification.commit()}`",
            f"- Platform: {platform.system()} {platform.machine()}, Python "
            f"{platform.python_version()}, {os.cpu_count()} cores, {tool}",
            f"- Tried: {tried(counts)} of the {counts['total']} mutants of `search` and `session`",
            f"- Killed: {killed_share(counts):.1%} of them",
            "",
            f"| {' | '.join(name.replace('_', ' ') for name in names)} |",
            f"| {' | '.join('---:' for _ in names)} |",
            f"| {' | '.join(str(counts[name]) for name in names)} |",
            "",
        ]
    )


def main(counts_file: str, page_file: str) -> int:
    """Rewrite the section; 1 if too many mutants survived, or some were not tried."""
    counts, page = json.loads(Path(counts_file).read_text()), Path(page_file)
    today = datetime.datetime.now(datetime.UTC).date()
    text = section(counts, today, f"mutmut {version('mutmut')}")
    changed = record_verification.replaced(page.read_text(), HEADING, text)
    if changed is None:
        sys.exit(f"{page} has no heading {HEADING!r}: add it where the run is to stand")
    page.write_text(changed)
    whole = tried(counts) + counts["skipped"] == counts["total"]
    return 0 if whole and killed_share(counts) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
