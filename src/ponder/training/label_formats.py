"""Step labels as files: ponder's own with values, and TRL's stepwise supervision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ponder.errors import UsageError
from ponder.store.files import replace_file
from ponder.training.graded_runs import GradedProblem, GradedRun, distinct
from ponder.training.label_log import Counted
from ponder.training.step_tree import Path as StepPath

Format = Literal["ponder", "trl"]
Known = Mapping[tuple[str, StepPath], Counted]
"""What came of the completions from each step, by problem id and step."""
Row = dict[str, Any]


def write_labels(file: Path, run: GradedRun, known: Known, format: Format) -> int:
    """Write a line for each distinct solution whose steps are all labelled; returns how many.

    `ponder`: `{"id", "problem", "steps", "values", "correct"}`, a value being the share of
    completions from the step that ended right, for the last step 1 or 0 (soft labels). `trl`: the
    columns of TRL's stepwise supervision, `{"prompt", "completions", "labels"}`, a label being
    whether any completion ended right (hard labels: Math-Shepherd, Wang et al. 2024). Steps are
    written without their separator: TRL adds its own.
    """
    rows = list(_rows(run, known))
    lines = [json.dumps(row if format == "ponder" else _trl(row)) + "\n" for row in rows]
    replace_file(file, "".join(lines))
    return len(lines)


def _rows(run: GradedRun, known: Known) -> Iterator[Row]:
    for problem, own in zip(run.problems, distinct(run.problems), strict=True):
        for number in own:
            values = _values(problem, number, known)
            if values is not None:
                path = problem.steps.paths[problem.steps.ways[number][-1]]
                yield {
                    "id": problem.id,
                    "problem": problem.example.problem.question,
                    "steps": path,
                    "values": values,
                    "correct": problem.right[number],
                }


def _values(problem: GradedProblem, number: int, known: Known) -> list[float] | None:
    """The value of each step; None if one is not labelled."""
    *inner, _ = problem.steps.ways[number]
    counted = [known.get((problem.id, problem.steps.paths[step])) for step in inner]
    values = [one.value for one in counted if one is not None]
    return [*values, float(problem.right[number])] if len(values) == len(inner) else None


def _trl(row: Row) -> Row:
    labels = [value > 0 for value in row["values"]]
    return {"prompt": row["problem"], "completions": row["steps"], "labels": labels}


def read_labels(
    file: Path,
    problems: Sequence[GradedProblem],
    judging: Sequence[GradedProblem] = (),
    *,
    hard: bool,
) -> dict[tuple[str, StepPath], float]:
    """The labels of both formats, by problem id and step; hard ones are 0 or 1.

    A line of TRL's format belongs to the problems with its prompt as their question, of those that
    teach and those that judge. Where lines tell of the same step, the last one holds; empty lines
    are passed over. Raises UsageError, naming the line, for anything else, and for a file that
    tells of none of the steps that `problems` teach.
    """
    ids: dict[str, list[str]] = {}
    for problem in [*problems, *judging]:
        ids.setdefault(problem.example.problem.question, []).append(problem.id)
    labels: dict[tuple[str, StepPath], float] = {}
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read labels from {file}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            names, steps, values = _read_row(json.loads(line), ids)
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{file}, line {number}: not step labels, which `ponder label RUN -o FILE` writes"
            ) from None
        for name in names:
            for depth, value in enumerate(values, 1):
                labels[name, steps[:depth]] = float(value > 0) if hard else value
    if not any(
        (problem.id, path) in labels for problem in problems for path in problem.steps.paths
    ):
        raise UsageError(
            f"{file} has no label of the training runs' steps: give the file that `ponder label` "
            "made from these samples"
        )
    return labels


def _read_row(row: Row, ids: Mapping[str, list[str]]) -> tuple[list[str], StepPath, list[float]]:
    """Problem ids, the solution's steps, a value each."""
    if "prompt" in row:
        names, steps, values = ids.get(row["prompt"], []), row["completions"], row["labels"]
    else:
        names, steps, values = [str(row["id"])], row["steps"], row["values"]
    found = [float(value) for value in values]
    if len(found) != len(steps) or not all(0 <= value <= 1 for value in found):
        raise ValueError("a label from 0 to 1 a step")
    return names, tuple(str(step).rstrip() for step in steps), found
