"""Do the lock files fit pyproject.toml? Offline: reads the three files and nothing else.

Prints a line for each fault and ends with 1 if there is one; `make lock` mends them all.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"://|^\s*-(?!-hash=sha256:)|(?<![\w.])/\w")
DIRECT = re.compile(r"#.*\bponder \(pyproject\.toml")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock file."""

    name: str
    version: str
    hashes: int
    """How many files of it are allowed."""
    direct: bool
    """pyproject.toml names it; else another package brings it."""


def read_pins(text: str) -> list[Pin]:
    """The packages of a lock file as uv writes it, a universal one twice where markers differ."""
    pins = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        found = re.match(r"([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)", block)
        if found:
            hashes, direct = block.count("--hash=sha256:"), bool(DIRECT.search(block))
            pins.append(Pin(canonicalize_name(found[1]), found[2], hashes, direct))
    return pins


def named(pyproject: dict[str, dict[str, object]], lock: str) -> list[Requirement]:
    """What pyproject.toml asks of the lock file `run.txt` or `dev.txt`."""
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    run = [project["dependencies"], extras["embedded"], groups["build"]]
    return [
        Requirement(str(text))
        for part in (run if lock == "run.txt" else [groups["dev"]])
        for text in (part if isinstance(part, list) else [])
    ]


def lock_faults(text: str, requirements: list[Requirement]) -> Iterator[str]:
    """What is wrong with one lock file, taken alone."""
    pins = read_pins(text)
    for requirement in requirements:
        versions = [p.version for p in pins if p.name == canonicalize_name(requirement.name)]
        if not versions:
            yield f"{requirement.name} is not locked"
        for version in versions:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{requirement.name} is locked at {version}, wanted {requirement.specifier}"
    wanted = {canonicalize_name(requirement.name) for requirement in requirements}
    yield from (f"{p.name} is no longer wanted" for p in pins if p.direct and p.name not in wanted)
    yield from (f"{p.name}=={p.version} has no hash" for p in pins if not p.hashes)
    for number, line in enumerate(text.splitlines(), 1):
        if ADDRESS.search(line):
            yield f"line {number} holds an address, an option or a path: {line.strip()}"


def shared_faults(run: str, dev: str) -> Iterator[str]:
    """Packages that the two lock files pin differently."""
    versions = {(pin.name, pin.version) for pin in read_pins(run)}
    names = {name for name, _ in versions}
    for pin in read_pins(dev):
        if pin.name in names and (pin.name, pin.version) not in versions:
            yield f"{pin.name} is {pin.version} in dev.txt, another version in run.txt"


def main() -> int:
    """Check both lock files; 0 if they fit."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = {name: (ROOT / "requirements" / name).read_text() for name in ("run.txt", "dev.txt")}
    faults = [
        f"requirements/{name}: {fault}"
        for name, text in texts.items()
        for fault in lock_faults(text, named(pyproject, name))
    ]
    faults += shared_faults(texts["run.txt"], texts["dev.txt"])
    print("\n".join([*faults, "make lock writes them anew"] if faults else ["lock files fit"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
