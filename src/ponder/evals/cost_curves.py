"""Accuracy against cost, problem by problem: what methods are compared at equal cost by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ponder.errors import UsageError
from ponder.evals.compare import Method
from ponder.evals.costs import Axis, cost_on
from ponder.evals.measure import Measured
from ponder.evals.mixture import mixture
from ponder.evals.summary import mean_at

NEAR = 0.01
"""Costs that differ by no more, relatively, are taken for equal: see docs/statistics.md."""

Table = NDArray[np.float64]
"""One row a size, one column a problem."""


@dataclass(frozen=True, slots=True)
class CostCurve:
    """What one method gets right and what it costs, problem by problem."""

    name: str
    selector: str
    runs: tuple[Measured, ...]
    """Runs that differ by their seed alone: a problem counts with its mean over them."""
    problems: tuple[str, ...]
    sizes: tuple[int, ...]
    """Rising N."""
    accuracy: Table
    cost: Table
    """On one axis; of samples it grows evenly with N."""

    @property
    def most(self) -> float:
        """Mean cost at the largest N."""
        return float(self.cost[-1].mean())

    def at_cost(self, cost: float) -> Method | None:
        """The method at this mean cost: the two N around it, mixed so that it costs just that.

        None where it cannot be had: a search has one cost, samples cost what one to all cost. A
        cost that is beyond these by up to `NEAR` is taken for the nearest of them.
        """
        costs = self.cost.mean(axis=1).tolist()
        nearest = min(max(cost, min(costs)), max(costs))
        near = nearest if abs(nearest - cost) <= NEAR * cost else cost
        mixed = mixture(near, costs, self.sizes, every=True)
        if mixed is None:
            return None
        values = mixed.of(self._values(mixed.fewer), self._values(mixed.more))
        own = {problem: values[problem] for problem in self.problems}
        return Method(self.name, self.selector, mixed.n, len(self.runs), own, None)

    def _values(self, n: int) -> dict[str, float]:
        return mean_at([run.at(self.selector, n)[1] for run in self.runs]).values


class Named(NamedTuple):
    """A method's runs, which differ by their seed alone, and its selector."""

    name: str
    selector: str
    runs: Sequence[Measured]


def cost_curves(methods: Sequence[Named], axis: Axis) -> list[CostCurve]:
    """Curves of the methods on the problems that all have.

    Raises UsageError for methods without a common problem, or one that does not tell the cost.
    """
    runs = [run for method in methods for run in method.runs]
    common = [name for name in runs[0].costs if all(name in run.costs for run in runs)]
    if not common:
        raise UsageError("the runs have no problem in common")
    return [_curve(method, axis, common) for method in methods]


def _curve(method: Named, axis: Axis, problems: Sequence[str]) -> CostCurve:
    name, selector, runs = method
    sizes = set.intersection(*(set(run.points[selector]) for run in runs))
    told = {n: _costs(method, n, axis, problems) for n in sorted(sizes)}
    kept = {n: costs for n, costs in told.items() if costs is not None}
    if not kept:
        raise UsageError(f"{name} does not tell {axis}: {_MENDS.get(axis, 'take another axis')}")
    values = [mean_at([run.at(selector, n)[1] for run in runs]).values for n in kept]
    accuracy = [[own[problem] for problem in problems] for own in values]
    cost = np.array(list(kept.values()))
    return CostCurve(
        name, selector, tuple(runs), tuple(problems), tuple(kept), np.array(accuracy), cost
    )


def _costs(method: Named, n: int, axis: Axis, problems: Sequence[str]) -> list[float] | None:
    """Each problem's mean over the runs; None where any is not told."""
    costs = [(run.costs_at(n, method.selector), run.costing) for run in method.runs]
    found: list[float] = []
    for problem in problems:
        values = [cost_on(own[problem], axis, costing) for own, costing in costs]
        told = [value for value in values if value is not None]
        if len(told) < len(values):
            return None
        found.append(fmean(told))
    return found


_MENDS = {
    "flops": "repeat its `ponder run` with `--set size.parameters=P`, and the verifier's size",
    "money": "give `--price generated=P`",
}
