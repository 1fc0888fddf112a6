"""What `ponder report --figures` draws, told by its options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ponder.cli.methods import Chosen, methods_of
from ponder.errors import UsageError
from ponder.evals.compare import Method
from ponder.report.plots.pairs import selector_methods
from ponder.report.plots.writing import Subjects
from ponder.report.series import Baseline
from ponder.report.views import LoadedRun, load_run
from ponder.strategies.policy_file import load_policy


class Across(NamedTuple):
    """What `--line` draws across the figures."""

    runs: tuple[LoadedRun, ...]
    """Greedy ones."""
    levels: tuple[Baseline, ...]
    """Accuracies without a run."""


def across_of(lines: Sequence[str]) -> Across:
    """The words of `--line`; raises UsageError or StoreError."""
    found = [line_of(word) for word in lines]
    return Across(
        tuple(line for line in found if isinstance(line, LoadedRun)),
        tuple(line for line in found if isinstance(line, Baseline)),
    )


def subjects_of(found: Sequence[LoadedRun], across: Across, policy: Path | None) -> Subjects:
    """The runs with what is across, and `--policy`; one run is compared with itself by selector.

    Raises UsageError.
    """
    return Subjects(
        runs=(*found, *across.runs),
        methods=tuple(_methods(found)),
        levels=across.levels,
        policy=None if policy is None else load_policy(policy),
    )


def line_of(word: str) -> LoadedRun | Baseline:
    """`LABEL=ACCURACY`, `LABEL=RUN` or `RUN`: a level across, or the run whose accuracy it is.

    A folder's name may hold "=", as those of a sweep do: the first reading that is one holds.
    """
    if Path(word).is_dir():
        return load_run(Path(word), Path(word).name, greedy=True)
    for label, value in _readings(word):
        accuracy = _number(value)
        if accuracy is None and Path(value).is_dir():
            return load_run(Path(value), label or Path(value).name, greedy=True)
        if accuracy is not None and label and 0 <= accuracy <= 1:
            return Baseline(label, accuracy)
    if _number(word.rpartition("=")[2]) is not None:
        raise UsageError(f"`--line` takes LABEL=ACCURACY with 0 to 1, or RUN, got {word!r}")
    folder = word.partition("=")[2] or word
    raise UsageError(f"`--line {word}`: {folder} is no run directory and no accuracy 0 to 1")


def _readings(word: str) -> Iterator[tuple[str, str]]:
    """Label and value, parted at each "=" from the left."""
    parts = word.split("=")
    for place in range(1, len(parts)):
        yield "=".join(parts[:place]), "=".join(parts[place:])


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _methods(found: Sequence[LoadedRun]) -> list[Method]:
    if len(found) == 1:
        return selector_methods(found[0])
    methods = methods_of([Chosen.own(run) for run in found])
    return [Method.of(own.name, own.selector, own.runs) for own in methods]
