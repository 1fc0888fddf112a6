"""Ends a continuous-integration run: what was not run and why, then the counts.

    python tools/not_run.py .results/test.xml tests/allowed_skips.txt

Ends with 1 if a test was skipped for a reason that the second file does not list.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import junit


def allowed_reasons(text: str) -> set[str]:
    """The lines of the list, without comments and blank ones."""
    return {line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"}


def main(results_file: str, allowed_file: str) -> int:
    """Print the list; 0 if every skip is allowed."""
    results = junit.read(Path(results_file))
    allowed = allowed_reasons(Path(allowed_file).read_text())
    skipped = defaultdict(list)
    for result in results:
        if result.outcome == "skipped":
            skipped[result.reason].append(result.name)
    print("not run:" if skipped else "not run: nothing")
    for reason, names in sorted(skipped.items()):
        print(f"  {reason}{'' if reason in allowed else '  <- NOT ALLOWED'}")
        print("\n".join(f"    {name}" for name in names))
    print(junit.closing_line(results))
    return 1 if skipped.keys() - allowed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
