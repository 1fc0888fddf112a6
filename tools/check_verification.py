"""Finds out whether the run with vLLM in docs/verification.md passed, and is as new as the engines.

    python tools/check_verification.py docs/verification.md

Asks git's history; prints one line and ends with 1 where `make test-vllm` is due.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import record_verification

ENGINES = "src/ponder/engines"
BESIDE = ("drafting", "vocabulary", "checkpoint", "checkpoint_text")
"""Modules of `backends` that decide where a sample of vLLM ends and how its prompt is written."""
WATCHED = (ENGINES, *(f"src/ponder/backends/{name}.py" for name in BESIDE))
_FAILED = re.compile(r"Outcome: .*?([1-9]\d*) failed")
_TESTED = re.compile(r"commit `([0-9a-f]{7,40})(-dirty)?`")
DUE = "run `make test-vllm`, which writes it down"


def fault(page: str, folder: Path) -> str | None:
    """Why the page's run does not stand for the engines of the repository at `folder`; or None."""
    _, _, after = page.partition(f"{record_verification.KINDS['vllm'].heading}\n")
    written = after.partition("\n## ")[0]
    found = _TESTED.search(written)
    if found is None:
        return f"no run with vLLM is written down: {DUE}"
    if failed := _FAILED.search(written):
        return f"{failed[1]} tests of the run with vLLM failed: mend them, then {DUE}"
    tested, dirty = found.groups()
    if dirty:
        return f"the run with vLLM was of a changed working tree at {tested}: {DUE}"
    if _git(folder, "cat-file", "-e", f"{tested}^{{commit}}") is None:
        return f"the run with vLLM was of {tested}, which is not in this history: {DUE}"
    paths = [f":/{path}" for path in WATCHED]
    changed = _git(folder, "log", "-1", "--format=%h", f"{tested}..HEAD", "--", *paths)
    if not changed:
        return None
    return f"{ENGINES}, or what it stands on, has changed since {tested} ({changed}): {DUE}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def main(page_file: str) -> int:
    """1 if a run with vLLM is due."""
    page = Path(page_file)
    folder = page.resolve().parent
    if _git(folder, "rev-parse", "--verify", "HEAD") is None:
        print(f"{page}: not checked against the engines, since there is no git history here")
        return 0
    if (found := fault(page.read_text(), folder)) is None:
        return 0
    print(f"{page}: {found}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
