"""From graded problems and their features to the rows that heads are fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ponder.training.graded_runs import GradedProblem
from ponder.training.rows import Matrix, Rows
from ponder.training.step_tree import Path

StepLabels = Mapping[tuple[str, Path], float]
"""By problem id and step: the share of completions from there that ended right, or 0 and 1."""


@dataclass(frozen=True, slots=True)
class ReadProblem:
    """A graded problem with the features of its steps."""

    problem: GradedProblem
    number: int
    """The same for problems that ask the same question."""
    features: Matrix
    """[steps, features], NaN for a step that could not be read."""
    distinct: tuple[int, ...]
    """The candidates that count, each text of a problem once."""

    @property
    def judges(self) -> bool:
        """A candidate that counts could be read to its end."""
        ends = [self.problem.steps.ways[candidate][-1] for candidate in self.problem.counted]
        return bool(np.isfinite(self.features[ends]).all(axis=1).any())


def rows_of(
    problem: ReadProblem, chosen: Sequence[int], labels: StepLabels | None, ends: float = 0.0
) -> Rows:
    """A row for each distinct step of the chosen candidates.

    Every candidate counts alike: the share `ends` of its weight is its last step's, the rest is
    spread over all of its steps. Without `labels` each step has
    the share of right ones among the candidates through it (outcome supervision: OVM, Yu et al.
    2023); with them, a last step keeps its candidate's grade and a step without a label is left
    out. Steps that could not be read are left out.
    """
    tree, right = problem.problem.steps, problem.problem.right
    sums = np.zeros(len(tree.paths))
    weights = np.zeros(len(tree.paths))
    ended = np.zeros(len(tree.paths))
    grades = {}
    for candidate in chosen:
        way = list(tree.ways[candidate])
        own = np.full(len(way), (1 - ends) / len(way))
        own[-1] += ends
        weights[way] += own
        sums[way] += right[candidate] * own
        ended[way[-1]] += 1
        grades[way[-1]] = float(right[candidate])
    targets = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    if labels is not None:
        told = [labels.get((problem.problem.id, path), np.nan) for path in tree.paths]
        targets = np.array(told, dtype=np.float64)
        targets[list(grades)] = list(grades.values())
    usable = (weights > 0) & np.isfinite(targets) & np.isfinite(problem.features).all(axis=1)
    return Rows(
        problem.features[usable],
        targets[usable],
        weights[usable],
        np.full(int(usable.sum()), problem.number),
        ended[usable],
    )


def drawn_rate(
    problems: Iterable[ReadProblem], labels: StepLabels | None, ends: float = 0.0
) -> float:
    """The weighted mean of the targets over all candidates that count, as they were drawn.

    The problems must have a row; arguments as of `rows_of`.
    """
    right = whole = 0.0
    for problem in problems:
        rows = rows_of(problem, problem.problem.counted, labels, ends)
        right += float(rows.targets @ rows.weights)
        whole += float(rows.weights.sum())
    return right / whole


def joined(parts: Sequence[Rows]) -> Rows | None:
    """All rows in one; None when there are none."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return None
    return Rows(
        np.concatenate([part.features for part in filled]),
        np.concatenate([part.targets for part in filled]),
        np.concatenate([part.weights for part in filled]),
        np.concatenate([part.problems for part in filled]),
        np.concatenate([part.ends for part in filled]),
    )
