"""Fixed choices: one strategy with its knobs and selector for all problems, at all of its n."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from ponder.evals.policies.ladder import Ladder, Solved
from ponder.evals.policies.runs import FittedRun
from ponder.evals.summary import mean_at
from ponder.search.selection import SELECTORS


def fixed_choices(runs: Sequence[FittedRun], problems: Collection[str]) -> tuple[Ladder, ...]:
    """What a policy is measured against: every fixed choice of the runs, on these problems.

    Runs of a search that differ by n alone, as those of a sweep or the subtrees of a DVTS, are one
    fixed choice; of runs that differ by their seed alone each problem counts with its mean.
    """
    groups: dict[tuple[str, str, bool], list[FittedRun]] = {}
    for run in runs:
        for selector in SELECTORS:
            points = run.points(selector)
            if points:
                name = run.choice(max(points), selector).without_n
                key = (name, selector, run.measured.sampled)
                groups.setdefault(key, []).append(run)
    return tuple(_ladder(*key, own, problems) for key, own in groups.items())


def _ladder(
    name: str, selector: str, sampled: bool, runs: Sequence[FittedRun], problems: Collection[str]
) -> Ladder:
    found = [set(run.points(selector)) for run in runs]
    sizes = {1, max(map(max, found))} if sampled else set[int]().union(*found)
    solved = partial(_solved, runs, selector, frozenset(problems))
    return Ladder(name, tuple(sorted(sizes)), solved, every=sampled)


def _solved(runs: Sequence[FittedRun], selector: str, problems: Collection[str], n: int) -> Solved:
    having = [run for run in runs if _has(run, selector, n)]
    at = mean_at([run.at(selector, n).only(problems) for run in having])
    return Solved(at.values, at.tokens)


def _has(run: FittedRun, selector: str, n: int) -> bool:
    points = run.points(selector)
    return n <= max(points) if run.measured.sampled else n in points
