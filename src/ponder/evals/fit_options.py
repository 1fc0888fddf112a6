"""What a fit chooses among: strategies with knobs and selectors, and what each gets right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ponder.errors import UsageError
from ponder.evals.graded import GradedCandidate
from ponder.evals.measure import At, Measured
from ponder.search.policy import Choice
from ponder.search.selection import SELECTORS, Ballot

FITTED = ("sample", "beam_search", "dvts")
"""Strategies that can take up where a few samples are drawn already."""


@dataclass(frozen=True, slots=True)
class FittedRun:
    """One run: what decided its results, and what came of it."""

    name: str
    study: Mapping[str, Any]
    measured: Measured

    def choice(self, n: int, selector: str) -> Choice:
        """What it did, as a policy could choose it."""
        knobs = dict(self.study.get("knobs") or {})
        return Choice(str(self.study["strategy"]), n, selector, knobs)

    def points(self, selector: str) -> Mapping[int, At]:
        """What was found at each n: of a DVTS also by fewer of its subtrees."""
        cut = self.measured.subtrees
        fewer = cut.points.get(selector, {}) if cut else {}
        return {**fewer, **self.measured.points.get(selector, {})}

    def at(self, selector: str, n: int) -> At:
        """What was found at n; of samples at any n. Raises UsageError as `Measured.at` does."""
        found = self.points(selector).get(n)
        return self.measured.at(selector, n)[1] if found is None else found


class Option(NamedTuple):
    """One choice, problem by problem."""

    choice: Choice
    values: Mapping[str, float]
    """Expected accuracy by problem id."""
    tokens: Mapping[str, float | None]
    """Generated tokens by problem id; None: not told."""


@dataclass(frozen=True, slots=True)
class Options:
    """All choices of some runs over the problems that they have in common."""

    problems: tuple[str, ...]
    by_n: Mapping[int, tuple[Option, ...]]
    correct: Mapping[str, float]
    """The share of right samples by problem id: how hard a problem is, when the answer is known."""
    votes: Mapping[str, tuple[Ballot, ...]]
    """The samples' votes by problem id, in the order drawn."""
    at_first: tuple[Option, ...]
    """What can be chosen when nothing is drawn after the first samples; empty where runs of
    `sample` have fewer."""
    first_tokens: Mapping[str, float | None]
    """Generated tokens of the samples that are drawn first; None: not told."""

    @property
    def scored(self) -> bool:
        """Every problem has a scored sample."""
        return all(any(vote.score is not None for vote in own) for own in self.votes.values())


def options_of(runs: Sequence[FittedRun], more_than: int) -> Options:
    """The choices of n over `more_than` that the runs give.

    A run of `sample` gives every power of two and every n of the searches, by its subsets; a search
    gives its own n, a DVTS also those of fewer subtrees. Raises UsageError without a run of
    `sample`, for strategies that cannot be chosen, and when the runs have no problem in common.
    """
    _check(runs)
    base = base_of(runs)
    problems = _common(runs)
    searched = {n for run in runs if not run.measured.sampled for n in run.points("majority")}
    found = [option for run in runs for option in _options(run, searched, more_than, problems)]
    sizes = sorted({option.choice.n for option in found})
    if not sizes:
        raise UsageError(f"the runs have no n over {more_than}, the samples that are drawn first")
    samples = {problem.id: problem.candidates for problem in base.measured.problems}
    return Options(
        problems,
        {n: tuple(option for option in found if option.choice.n == n) for n in sizes},
        {name: sum(c.correct for c in samples[name]) / len(samples[name]) for name in problems},
        {name: tuple(c.ballot for c in samples[name]) for name in problems},
        tuple(_at_first(runs, more_than, problems)),
        {name: _spent(samples[name][:more_than]) for name in problems},
    )


def base_of(runs: Sequence[FittedRun]) -> FittedRun:
    """The run whose samples tell how hard each problem is; UsageError where there is none."""
    base = next((run for run in runs if run.study.get("strategy") == "sample"), None)
    if base is None or not base.measured.sampled:
        raise UsageError(
            "a fit needs a run of `sample` without a stopping rule or a budget: its samples tell "
            "how hard each problem is"
        )
    return base


def _check(runs: Sequence[FittedRun]) -> None:
    for run in runs:
        strategy = run.study.get("strategy", "an imported pool")
        if strategy not in FITTED:
            raise UsageError(
                f"{run.name} is a run of {strategy}: a policy can choose {', '.join(FITTED)}"
            )


def _common(runs: Sequence[FittedRun]) -> tuple[str, ...]:
    """Problems that every run has, with at least one candidate each to tell of."""
    first, *others = [[p.id for p in run.measured.problems if p.candidates] for run in runs]
    problems = tuple(name for name in first if all(name in set(other) for other in others))
    if len(problems) < 2:
        raise UsageError(
            f"the runs have {len(problems)} problems in common: a fit needs runs over the same ones"
        )
    return problems


def _spent(candidates: Sequence[GradedCandidate]) -> float | None:
    told = [c.tokens for c in candidates if c.tokens is not None]
    return float(sum(told)) if len(told) == len(candidates) else None


def _at_first(runs: Sequence[FittedRun], n: int, problems: Collection[str]) -> Iterator[Option]:
    for run in runs:
        for selector in SELECTORS:
            points = run.measured.points.get(selector)
            if points and run.measured.sampled and n <= max(points):
                yield _option(run.choice(n, selector), run.measured.at(selector, n)[1], problems)


def _options(
    run: FittedRun, searched: Iterable[int], more_than: int, problems: Collection[str]
) -> Iterator[Option]:
    for selector in SELECTORS:
        points = run.points(selector)
        if not points:
            continue
        sizes = set(points)
        if run.measured.sampled:
            sizes |= {n for n in searched if n <= max(points)}
        for n in sorted(size for size in sizes if size > more_than):
            yield _option(run.choice(n, selector), run.at(selector, n), problems)


def _option(choice: Choice, at: At, problems: Collection[str]) -> Option:
    part = at.only(set(problems))
    return Option(choice, part.values, part.tokens)
