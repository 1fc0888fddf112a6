"""What a policy chooses among: strategies with knobs and selectors, and what each gets right."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.evals.graded import GradedCandidate
from ponder.evals.measure import At
from ponder.evals.policies.after_first import First, after_first
from ponder.evals.policies.runs import FittedRun, base_of, common, differing
from ponder.evals.summary import mean_at
from ponder.search.policy import Choice
from ponder.search.selection import SELECTORS, Ballot

ByN = Mapping[int, tuple["Option", ...]]


class Option(NamedTuple):
    """One choice, problem by problem, the samples drawn first included."""

    choice: Choice
    values: Mapping[str, float]
    """Expected accuracy by problem id."""
    tokens: Mapping[str, float | None]
    """Generated tokens by problem id; None: not told."""


@dataclass(frozen=True, slots=True)
class Options:
    """All choices of some runs over the problems that they have in common."""

    base: FittedRun
    """Its samples tell how hard each problem is."""
    problems: tuple[str, ...]
    by_n: ByN
    at_first: tuple[Option, ...]
    """What can be chosen when nothing is drawn after the first samples."""
    correct: Mapping[str, float]
    """The share of right samples by problem id: how hard a problem is, when the answer is known."""
    votes: Mapping[str, tuple[Ballot, ...]]
    """The samples' votes by problem id."""
    first: Mapping[str, tuple[Ballot, ...]]
    """Those of the samples that are drawn first."""
    notes: tuple[str, ...]
    """What is not there, and what may not hold: a line each."""

    @property
    def scored(self) -> bool:
        """Every problem has a scored sample."""
        return all(any(vote.score is not None for vote in own) for own in self.votes.values())


def options_of(runs: Sequence[FittedRun], samples: int) -> Options:
    """What the runs give to choose from after so many first samples.

    These are the last ones of the base run, so that they share no seeds with what is chosen. After
    them a search is a choice at the n that both make together, a DVTS also with fewer subtrees,
    and `sample` at each such n and every power of two, by its subsets. Raises UsageError without a
    run of `sample`, and when the runs have no problem in common.
    """
    base, problems = base_of(runs), common(runs)
    own = {p.id: p.candidates for p in base.measured.problems if p.id in set(problems)}
    drawn = min(len(candidates) for candidates in own.values())
    if drawn < samples:
        raise UsageError(
            f"{base.name} has {drawn} samples of a problem, fewer than the {samples} that are "
            "drawn first: set --samples"
        )
    after = _After(samples, {name: own[name][-samples:] for name in problems}, base)
    by_n = after.options(runs)
    if not by_n:
        raise UsageError(f"the runs have no n over {samples}, the samples that are drawn first")
    return Options(
        base,
        problems,
        by_n,
        after.alone(),
        {name: sum(c.correct for c in own[name]) / len(own[name]) for name in problems},
        _votes(own),
        _votes(after.first),
        (*_lacking(by_n, base, drawn), *differing(runs, base)),
    )


def _votes(drawn: Mapping[str, Sequence[GradedCandidate]]) -> dict[str, tuple[Ballot, ...]]:
    return {name: tuple(c.ballot for c in candidates) for name, candidates in drawn.items()}


def _lacking(by_n: ByN, base: FittedRun, drawn: int) -> Iterator[str]:
    for n in by_n:
        if n > drawn:
            yield f"n = {n}: `sample` is no choice, {base.name} has {drawn} samples of a problem"


@dataclass(frozen=True, slots=True)
class _After:
    """Makes the choices that take up where the first samples are there."""

    samples: int
    first: First
    base: FittedRun

    def options(self, runs: Sequence[FittedRun]) -> ByN:
        """By n, more than the first samples, what can be chosen.

        Of runs that differ by their seed alone each problem counts with its mean.
        """
        parts = [self._rest() if run is self.base else run.on(self.first) for run in runs]
        searches = [run for run in parts if not run.measured.sampled]
        more = {n for run in searches for n in run.points("majority")}
        more |= {n - self.samples for n in self.base.points("majority") if n > self.samples}
        found: dict[int, dict[str, tuple[Choice, list[At]]]] = {}
        for run in parts:
            for choice, at in self._of(run, more):
                found.setdefault(choice.n, {}).setdefault(choice.shown, (choice, []))[1].append(at)
        return {
            n: tuple(_option(choice, mean_at(ats)) for choice, ats in found[n].values())
            for n in sorted(found)
        }

    def alone(self) -> tuple[Option, ...]:
        """What can be chosen of the first samples."""
        return tuple(_option(choice, at) for choice, at in self._of(self._rest(), {0}))

    def _rest(self) -> FittedRun:
        """The base run without the first samples."""
        run, own = self.base.on(self.first), self.samples
        return run.of(replace(p, candidates=p.candidates[:-own]) for p in run.measured.problems)

    def _of(self, run: FittedRun, more: Collection[int]) -> Iterator[tuple[Choice, At]]:
        for selector in SELECTORS:
            points = run.points(selector)
            if not points or not self.base.points(selector):
                continue
            sampled = (n for n in more if n <= run.fewest)
            for n in sorted(sampled if run.measured.sampled else points):
                found = after_first(run, selector, n, self.first)
                yield run.choice(self.samples + n, selector), found


def _option(choice: Choice, at: At) -> Option:
    return Option(choice, at.values, at.tokens)
