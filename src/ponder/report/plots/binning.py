"""Groups of about equally many values, and what the problems in one say on average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import fmean

from ponder.evals.intervals import mean_interval
from ponder.report.series import Mark
from ponder.report.view import Point


def equal_groups(values: Sequence[float], count: int) -> list[list[int]]:
    """Places in `values`, by rising value, in groups of at least a `count`-th of all.

    Equal values stay together; those that are a whole group by themselves are joined by no others,
    so that a group before them, and the last one, may be smaller.
    """
    size = len(values) / count
    groups: list[list[int]] = []
    order = sorted(range(len(values)), key=values.__getitem__)
    for _, same in groupby(order, key=values.__getitem__):
        equal = list(same)
        if groups and len(groups[-1]) < size and len(equal) < size:
            groups[-1] += equal
        else:
            groups.append(equal)
    return groups


def clustered(items: Iterable[tuple[str, float, float]]) -> Mark:
    """One mark for (problem, x, y in [0, 1]): each problem counts once, with its means.

    The 95 % interval is over problems, since what stems from one problem is no independent
    evidence.
    """
    own: dict[str, list[tuple[float, float]]] = {}
    for problem, x, y in items:
        own.setdefault(problem, []).append((x, y))
    interval = mean_interval([fmean(y for _, y in pairs) for pairs in own.values()])
    point = Point(accuracy=interval.mean, ci_low=interval.low, ci_high=interval.high)
    return Mark(fmean(fmean(x for x, _ in pairs) for pairs in own.values()), point)


def binned(x: Mapping[str, float], y: Mapping[str, float], count: int) -> tuple[Mark, ...]:
    """Marks by rising x for problems with one x and one y each."""
    names = list(x)
    groups = equal_groups([x[name] for name in names], count)
    return tuple(
        clustered((names[place], x[names[place]], y[names[place]]) for place in group)
        for group in groups
    )
