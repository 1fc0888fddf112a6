"""What a verifier can be judged on, told by its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ponder.errors import UsageError
from ponder.evals.process_bench import BenchSolution, solutions
from ponder.evals.rows import read_rows
from ponder.evals.step_accuracy import RatedStep, rated_steps

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Targets:
    """Everything that was named, read as far as it is rows."""

    solutions: tuple[BenchSolution, ...] = ()
    """ProcessBench's."""
    steps: tuple[RatedStep, ...] = ()
    """PRM800K's."""
    pools: tuple[Path, ...] = ()
    """Run directories and files of candidates."""

    def subsets(self) -> set[str]:
        """The subsets of ProcessBench."""
        return {solution.subset for solution in self.solutions}


def read_targets(paths: Sequence[Path], limit: int | None = None) -> Targets:
    """Tell the paths apart: a directory is a run, a file's kind is told by its first row.

    `limit` takes so many rows of each file of ProcessBench or PRM800K, spread evenly: the first
    ones of ProcessBench are all erroneous. Raises UsageError for a file that is neither of them nor
    a candidate pool, or that is named twice.
    """
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{path} is named twice: name it once")
    bench: list[BenchSolution] = []
    rated: list[RatedStep] = []
    pools: list[Path] = []
    for path in paths:
        rows = () if path.is_dir() else read_rows(path)
        columns = rows[0].values.keys() if rows else {"candidates"}
        if {"steps", "label"} <= columns:
            bench += solutions(spread(rows, limit))
        elif {"next_response", "rating"} <= columns:
            rated += rated_steps(spread(rows, limit))
        elif "candidates" in columns:
            pools.append(path)
        else:
            raise UsageError(
                f"{path} is nothing to judge a verifier on: give ProcessBench (`steps`, `label`), "
                "PRM800K (`next_response`, `rating`), candidates (`candidates`) or a run directory"
            )
    ids = [solution.id for solution in bench]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise UsageError(f"the solution {twice!r} stands in two rows: give each file once")
    return Targets(tuple(bench), tuple(rated), tuple(pools))


def spread(rows: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """At most `limit` of the rows, evenly spaced."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[place * len(rows) // limit] for place in range(limit)]
