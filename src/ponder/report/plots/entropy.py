"""How far a problem's samples disagree, against how often it is answered right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from ponder.evals.graded import GradedProblem
from ponder.report.plots.accuracy import ACCURACY
from ponder.report.plots.binning import binned
from ponder.report.plots.panels import Absent, CurveFigure, Panel
from ponder.report.series import Series
from ponder.report.view import SELECTOR_LABELS
from ponder.report.views import LoadedRun

BINS = 6
NAME = "entropy"


def answer_entropy(keys: Sequence[str | None]) -> float:
    """Shannon entropy in bits of the shares of equal answers, at least one.

    A sample without an answer agrees with none: it is a group by itself.
    """
    votes = Counter(key for key in keys if key is not None)
    sizes = [*votes.values(), *[1] * (len(keys) - votes.total())]
    return math.fsum(size / len(keys) * math.log2(len(keys) / size) for size in sizes)


def entropy_figure(runs: Sequence[LoadedRun]) -> CurveFigure | Absent:
    """Problems in bins of entropy, with the accuracy there at the largest N.

    A lone pool shows each selector, several pools each its own. Searches have no independent
    samples to tell an entropy by.
    """
    pools = [run for run in runs if run.measured.sampled and _disagreeing(run)]
    if not pools:
        return Absent(NAME, "no run has several independent samples a problem")
    lone = len(pools) == 1
    lines = tuple(line for run in pools for line in _lines(run, each_selector=lone))
    return CurveFigure(NAME, "entropy of the answers (bits)", ACCURACY, "even", (Panel("", lines),))


def _disagreeing(run: LoadedRun) -> list[GradedProblem]:
    """The problems whose samples could disagree."""
    return [problem for problem in run.measured.problems if len(problem.candidates) > 1]


def _lines(run: LoadedRun, *, each_selector: bool) -> Iterator[Series]:
    found = {
        problem.id: answer_entropy([candidate.key for candidate in problem.candidates])
        for problem in _disagreeing(run)
    }
    own = run.view.selector
    for selector in run.measured.points if each_selector else [own]:
        name = SELECTOR_LABELS.get(selector, selector) if each_selector else run.view.name
        right = run.measured.at(selector)[1].values
        yield Series(name, binned(found, right, BINS), bound=selector == "oracle")
