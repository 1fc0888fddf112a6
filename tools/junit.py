"""Reads the results of a test run, as pytest's --junit-xml writes them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from xml.etree import ElementTree

Outcome = Literal["passed", "failed", "skipped"]


class Result(NamedTuple):
    """What became of one test."""

    name: str
    """File and test, as a person would look for it."""
    outcome: Outcome
    reason: str
    """Why it was skipped; else empty."""
    seconds: float
    full_size: bool
    """Marked `long`."""
    model: str = ""
    """On which it ran, where the test tells."""


def read(path: Path) -> list[Result]:
    """Every test in `path`, in the order it holds."""
    root = ElementTree.parse(path).getroot()
    return [_result(case) for case in root.iter("testcase")]


def closing_line(results: Sequence[Result]) -> str:
    """The counts: "N passed, N failed, N skipped"."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "failed", "skipped"))


def _result(case: ElementTree.Element) -> Result:
    skip = case.find("skipped")
    broken = case.find("failure") is not None or case.find("error") is not None
    outcome: Outcome = "failed" if broken else "passed" if skip is None else "skipped"
    told = {entry.get("name"): entry.get("value", "") for entry in case.iter("property")}
    names = (case.get("classname", "").replace(".", "/"), case.get("name", ""))
    return Result(
        name="::".join(filter(None, names)),
        outcome=outcome,
        reason="" if skip is None else _reason(skip),
        seconds=float(case.get("time", 0)),
        full_size="size" in told,
        model=told.get("model", ""),
    )


def _reason(skip: ElementTree.Element) -> str:
    """As the test gives it. A whole file's is the last of (path, line, reason), written as text."""
    message = skip.get("message", "")
    if message != "collection skipped":
        return message
    return str(ast.literal_eval(skip.text or "")[-1]).removeprefix("Skipped: ")
