"""The runs that a fit learns from, and which of them it can."""

from __future__ import annotations

import json
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

_ONE_FOR_ALL = ("model", "prompt", "temperature", "verifier", "verifier_knobs")
"""Settings of which a run with the policy has one, for its first samples and what comes after."""

_ASKED = frozenset(("dataset", "limit", "ids", "map", "answer"))
_NOT_THE_METHOD = _ASKED | {"n", "seed", "selector", "aggregation", "size", "verifier_size"}
"""Settings that do not tell one way to spend from another."""


@dataclass(frozen=True, slots=True)
class FittedRun:
    """One run: what decided its results, and what came of it."""

    name: str
    study: Mapping[str, Any]
    measured: Measured
    aggregation: Aggregation = "last"
    """How its step scores became one."""

    @property
    def method(self) -> Mapping[str, Any]:
        """Its settings, but for n, seed, and what it is asked."""
        return {key: value for key, value in self.study.items() if key not in _NOT_THE_METHOD}

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


def distinct(runs: Sequence[FittedRun]) -> tuple[list[FittedRun], list[str]]:
    """The runs without those whose samples another one holds as well, and a line for each of these.

    Equal settings and an equal seed give equal samples, of which a larger n has more. Raises
    UsageError for runs that cannot be chosen, or that no run with the policy could be like.
    """
    for run in runs:
        if not run.measured.problems:
            raise UsageError(f"{run.name} has no finished problem: there is nothing to fit to")
        _check(run)
    _check_settings(runs)
    kept: dict[tuple[object, ...], FittedRun] = {}
    lines = []
    for run in sorted(runs, key=lambda run: -max(run.points("majority"))):
        n = None if run.measured.sampled else max(run.points("majority"))
        holds = kept.setdefault((_text(run.method), run.study.get("seed", 0), n), run)
        if holds is not run:
            lines.append(f"{run.name} holds the same samples as {holds.name}: it is left out")
    own = [run for run in runs if any(run is one for one in kept.values())]
    return own, lines


def _check_settings(runs: Sequence[FittedRun]) -> None:
    named: dict[str, tuple[FittedRun, object]] = {}
    methods: dict[str, FittedRun] = {}
    for run in runs:
        told = {**fitted_on(run.study), "verifier_knobs": run.study.get("verifier_knobs")}
        for name in _ONE_FOR_ALL:
            if (value := told.get(name)) is None:
                continue
            other, before = named.setdefault(name, (run, value))
            if value != before:
                raise UsageError(
                    f"{run.name} has `{name}` {value!r} and {other.name} {before!r}: a run with "
                    "the policy has one for all of its samples, leave one of them out"
                )
        alike = methods.setdefault(run.choice(0, "").without_n, run)
        keys = alike.method.keys() | run.method.keys()
        if parted := sorted(k for k in keys if alike.method.get(k) != run.method.get(k)):
            raise UsageError(
                f"{run.name} and {alike.name} are one choice and differ in {', '.join(parted)}: "
                "leave one of them out"
            )


def _text(method: Mapping[str, Any]) -> str:
    return json.dumps(method, sort_keys=True, default=str)


def base_of(runs: Sequence[FittedRun]) -> FittedRun:
    """The run whose samples tell how hard each problem is, of several the largest.

    Raises UsageError where there is none of `sample`, or for several aggregations.
    """
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
    """Problems that every run has, and of which every run of samples has one to tell of.

    One on which a search ended without a candidate is there: it counts as wrong.
    """
    first, *others = [
        [p.id for p in run.measured.problems if p.candidates or not run.measured.sampled]
        for run in runs
    ]
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
