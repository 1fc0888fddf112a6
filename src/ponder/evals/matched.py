"""Methods at equal cost: who is better for the same, what is cheaper for as much, what is best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import TypedDict

import numpy as np

from ponder.evals.bootstrap import Estimated, Values, Weights, bootstrapped, drawn
from ponder.evals.compare import Method, PairResult, pair_results
from ponder.evals.cost_curves import CostCurve, Table
from ponder.evals.costs import Axis

_SAME = 1e-9
"""Accuracies that differ by no more are equal but for rounding."""


class MatchedPair(TypedDict):
    """Two methods at the cost of the cheaper one."""

    cost: float
    """Mean of a problem."""
    first_n: float
    """Between two whole numbers it mixes both."""
    second_n: float
    compared: PairResult


class Unmatched(TypedDict):
    """Two methods that cannot be had at the same cost."""

    first: str
    second: str
    reason: str


class Cheaper(TypedDict):
    """Where one method's curve reaches the other's accuracy."""

    method: str
    equals: str
    """The other method, at its largest N."""
    accuracy: float
    n: float | None
    """Where the curve first reaches it, straight between measured N; None: nowhere."""
    times_less: Estimated
    """The least cost at which the other reaches it over this one's; below 1: this one is dearer,
    0: it nowhere reaches it."""


class ParetoPoint(TypedDict):
    """A method at an N that none other beats at no more cost."""

    name: str
    selector: str
    n: int
    cost: float
    accuracy: float


class MatchedCosts(TypedDict):
    """All that equal cost tells, on the problems that all methods have."""

    axis: Axis
    n_problems: int
    matched: list[MatchedPair]
    unmatched: list[Unmatched]
    cheaper: list[Cheaper]
    pareto: list[ParetoPoint]
    """By rising cost. Chosen on these very problems, so its accuracies flatter."""


def at_equal_cost(curves: Sequence[CostCurve], axis: Axis) -> MatchedCosts:
    """Every pair at the cost of its cheaper method, who reaches whom, and the Pareto front."""
    had: list[tuple[float, Method, Method]] = []
    unmatched: list[Unmatched] = []
    for first, second in combinations(curves, 2):
        cost = min(first.most, second.most)
        ours, theirs = first.at_cost(cost), second.at_cost(cost)
        if ours is None or theirs is None:
            unmatched.append(_unmatched(first, second, cost))
        else:
            had.append((cost, ours, theirs))
    results = pair_results([(ours, theirs) for _, ours, theirs in had])
    return {
        "axis": axis,
        "n_problems": len(curves[0].problems),
        "matched": [
            {"cost": cost, "first_n": ours.n, "second_n": theirs.n, "compared": result}
            for (cost, ours, theirs), result in zip(had, results, strict=True)
        ],
        "unmatched": unmatched,
        "cheaper": [cheaper(one, other) for one, other in permutations(curves, 2)],
        "pareto": pareto(curves),
    }


def _unmatched(first: CostCurve, second: CostCurve, cost: float) -> Unmatched:
    dearer = first if first.most > cost else second
    least = float(dearer.cost[0].mean())
    reason = f"{dearer.name} cannot be had for {cost:.4g} a problem: it costs {least:.4g} at least"
    return {"first": first.name, "second": second.name, "reason": reason}


def cheaper(one: CostCurve, other: CostCurve) -> Cheaper:
    """Where `one` has the accuracy of the `other` at its largest N, and how much less it costs.

    The interval draws problems again; costs and accuracies are those of each draw.
    """

    def times_less(weights: Weights) -> Values:
        of = weights.sum(axis=1, keepdims=True)
        wanted = (weights @ other.accuracy[-1]) / of[:, 0]
        ours, theirs = (
            _reached(weights @ curve.accuracy.T / of, weights @ curve.cost.T / of, wanted)
            for curve in (one, other)
        )
        return np.asarray(theirs / ours)

    accuracy = float(other.accuracy[-1].mean())
    sizes = np.array([one.sizes], dtype=np.float64)
    n = float(_reached(one.accuracy.mean(axis=1)[None], sizes, np.array([accuracy]))[0])
    found = bootstrapped(times_less, drawn(one.problems))
    return {
        "method": one.name,
        "equals": other.name,
        "accuracy": accuracy,
        "n": n if np.isfinite(n) else None,
        "times_less": found.estimated(),
    }


def _reached(accuracy: Table, places: Table, wanted: Values) -> Values:
    """Where each row of accuracies first reaches what is wanted, straight between `places`.

    Infinite where it never does.
    """
    enough = accuracy >= wanted[:, None] - _SAME
    first = enough.argmax(axis=1)
    rows = np.arange(len(accuracy))
    before = np.maximum(first - 1, 0)
    low, high = accuracy[rows, before], accuracy[rows, first]
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(first > 0, np.clip((wanted - low) / rise, 0.0, 1.0), 1.0)
    start, end = places[rows, before], places[rows, first]
    spread = np.broadcast_to(start + share * (end - start), wanted.shape)
    return np.where(enough.any(axis=1), spread, np.inf)


def pareto(curves: Sequence[CostCurve]) -> list[ParetoPoint]:
    """The points that no other one beats: none is as accurate for less, or better for as much."""
    points: list[ParetoPoint] = [
        {
            "name": curve.name,
            "selector": curve.selector,
            "n": n,
            "cost": float(cost.mean()),
            "accuracy": float(accuracy.mean()),
        }
        for curve in curves
        for n, cost, accuracy in zip(curve.sizes, curve.cost, curve.accuracy, strict=True)
    ]
    front: list[ParetoPoint] = []
    for point in sorted(points, key=lambda one: (one["cost"], -one["accuracy"])):
        if not front or point["accuracy"] > front[-1]["accuracy"] + _SAME:
            front.append(point)
    return front
