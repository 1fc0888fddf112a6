"""Differences between methods, with intervals and whether they are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.evals.compare import Comparison, Method, compare
from ponder.report.plots.panels import Absent
from ponder.report.view import SELECTOR_LABELS
from ponder.report.views import LoadedRun

NAME = "comparison"
SIGNIFICANT = 0.05
"""Holm's p below this is a difference."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """The first method less the second, in percentage points."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    holm_p: float

    @property
    def significant(self) -> bool:
        """More than chance, among so many comparisons."""
        return self.holm_p < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class PairFigure:
    """The pairs, the largest difference first; the better method of a pair is named first."""

    rows: tuple[PairRow, ...]
    n_problems: int
    """The fewest that a pair has in common."""


def selector_methods(run: LoadedRun) -> list[Method]:
    """One run's selectors as methods, without the oracle, which is none."""
    return [
        Method.of(SELECTOR_LABELS.get(selector, selector), selector, [run.measured])
        for selector in run.measured.points
        if selector != "oracle"
    ]


def pair_figure(methods: Sequence[Method]) -> PairFigure | Absent:
    """Every pair of methods; absent where there are fewer than two."""
    if len(methods) < 2:
        return Absent(NAME, "there is one method: name several runs")
    return pairs_of(compare(methods))


def pairs_of(compared: Comparison) -> PairFigure:
    """The pairs of a comparison."""
    rows = []
    for pair in compared["pairs"]:
        names, sign = (pair["first"], pair["second"]), 100.0
        if pair["difference"] < 0:
            names, sign = names[::-1], -100.0
        low, high = sorted((sign * pair["ci_low"], sign * pair["ci_high"]))
        rows.append(PairRow(*names, sign * pair["difference"], low, high, pair["holm_p"]))
    rows.sort(key=lambda row: (-row.difference, row.first, row.second))
    return PairFigure(tuple(rows), min(pair["n_problems"] for pair in compared["pairs"]))
