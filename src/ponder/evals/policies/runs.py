"""The runs that a fit learns from, and which of them it can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponder.errors import UsageError
from ponder.evals.graded import GradedProblem
from ponder.evals.measure import At, Measured
from ponder.search.policy import Choice, fitted_on
from ponder.search.selection import Aggregation

FITTED = ("sample", "beam_search", "dvts")
"""Strategies that can take up where a few samples are drawn already."""


@dataclass(frozen=True, slots=True)
class FittedRun:
    """One run: what decided its results, and what came of it."""

    name: str
    study: Mapping[str, Any]
    measured: Measured
    aggregation: Aggregation = "last"
    """How its step scores became one."""

    @property
    def strategy(self) -> str:
        """Its registered name."""
        return str(self.study.get("strategy", "an imported pool"))

    def choice(self, n: int, selector: str) -> Choice:
        """What it did, as a policy could choose it."""
        return Choice(self.strategy, n, selector, dict(self.study.get("knobs") or {}))

    def points(self, selector: str) -> Mapping[int, At]:
        """What was found at each n: of a DVTS also by fewer of its subtrees."""
        cut = self.measured.subtrees
        fewer = cut.points.get(selector, {}) if cut else {}
        return {**fewer, **self.measured.points.get(selector, {})}

    def at(self, selector: str, n: int) -> At:
        """What was found at n; of samples at any n. Raises UsageError as `Measured.at` does."""
        found = self.points(selector).get(n)
        return self.measured.at(selector, n)[1] if found is None else found

    @property
    def fewest(self) -> int:
        """Candidates of the problem that has the fewest."""
        return min(len(problem.candidates) for problem in self.measured.problems)

    def of(self, problems: Iterable[GradedProblem]) -> FittedRun:
        """The same with these candidates; its points stay."""
        return replace(self, measured=replace(self.measured, problems=tuple(problems)))

    def on(self, names: Collection[str]) -> FittedRun:
        """The same with the candidates of some problems, by id."""
        return self.of(p for p in self.measured.problems if p.id in names)


def base_of(runs: Sequence[FittedRun]) -> FittedRun:
    """The run whose samples tell how hard each problem is, of several the largest.

    Raises UsageError for runs that cannot be chosen, and where there is none of `sample`.
    """
    for run in runs:
        _check(run)
    sampled = [run for run in runs if run.strategy == "sample"]
    if not sampled:
        raise UsageError("a fit needs a run of `sample`: its samples tell how hard each problem is")
    base = max(sampled, key=lambda run: max(run.points("majority")))
    for run in runs:
        if run.aggregation != base.aggregation:
            raise UsageError(
                f"{run.name} ranks by the {run.aggregation} of its step scores and {base.name} by "
                f"the {base.aggregation}: a policy has one aggregation"
            )
    return base


def _check(run: FittedRun) -> None:
    if run.strategy not in FITTED:
        raise UsageError(
            f"{run.name} is a run of {run.strategy}: a policy can choose {', '.join(FITTED)}"
        )
    stopping = (run.study.get("knobs") or {}).get("stopping", "none") != "none"
    if stopping or run.study.get("budget") or run.study.get("equal_tokens"):
        what = "with a stopping rule" if stopping else "under a budget"
        raise UsageError(f"{run.name} ran {what}, which a policy cannot choose: leave it out")
    if run.strategy == "sample" and not run.measured.sampled:
        raise UsageError(f"{run.name} does not hold all of its samples: leave it out")


def common(runs: Sequence[FittedRun]) -> tuple[str, ...]:
    """Problems that every run has, with at least one candidate each to tell of."""
    first, *others = [[p.id for p in run.measured.problems if p.candidates] for run in runs]
    problems = tuple(name for name in first if all(name in set(other) for other in others))
    if len(problems) < 2:
        raise UsageError(
            f"the runs have {len(problems)} problems in common: a fit needs runs over the same ones"
        )
    return problems


def differing(runs: Sequence[FittedRun], base: FittedRun) -> list[str]:
    """A line for each run that had something else to draw or score with than the base run."""
    told = fitted_on(base.study)
    lines = []
    for run in runs:
        own = fitted_on(run.study)
        names = sorted(name for name in told.keys() | own.keys() if told.get(name) != own.get(name))
        if names:
            lines.append(
                f"{run.name} and {base.name} differ in {', '.join(names)}: a run with the policy "
                "has one for both"
            )
    return lines
