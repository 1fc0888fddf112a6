"""Runs that differ by their seed alone: repetitions of one method."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TypedDict

from ponder.evals.measure import Measured
from ponder.evals.pools import STRATEGY as POOL


class Spread(TypedDict):
    """Accuracy from seed to seed, over the same problems."""

    runs: int
    mean: float
    stdev: float
    """Sample standard deviation between the runs."""
    lowest: float
    highest: float


class Repeats(TypedDict):
    """One method's runs."""

    seeds: list[object]
    runs: list[int]
    """Their places among the runs that are reported."""
    spread: dict[str, dict[str, Spread]]
    """By selector and N."""


def repeats(studies: Sequence[Mapping[str, object]]) -> list[list[int]]:
    """Places of the studies that are equal but for their seed, together; in order."""
    groups: dict[str, list[int]] = {}
    for place, study in enumerate(studies):
        groups.setdefault(_without(study, "seed"), []).append(place)
    return list(groups.values())


def method_of(study: Mapping[str, object]) -> str | None:
    """Equal for runs that differ by n and seed alone; None for an import, which does not tell."""
    imported = study.get("strategy") in (None, POOL)
    return None if imported else _without(study, "n", "seed")


def _without(study: Mapping[str, object], *names: str) -> str:
    rest = {key: value for key, value in study.items() if key not in names}
    return json.dumps(rest, sort_keys=True, default=str)


def seed_spreads(
    runs: Sequence[Measured], studies: Sequence[Mapping[str, object]]
) -> list[Repeats]:
    """The spread between seeds of every method that was run with several."""
    found: list[Repeats] = []
    for places in repeats(studies):
        seeds = [studies[place].get("seed") for place in places]
        if len(set(map(str, seeds))) > 1:
            spread = _spread([runs[place] for place in places])
            found.append({"seeds": seeds, "runs": places, "spread": spread})
    return found


def _spread(runs: Sequence[Measured]) -> dict[str, dict[str, Spread]]:
    """At each selector and N that all runs have, over the problems that all have."""
    return {
        selector: {
            str(n): _of([run.points[selector][n].values for run in runs])
            for n in points
            if all(n in run.points.get(selector, {}) for run in runs)
        }
        for selector, points in runs[0].points.items()
    }


def _of(values: Sequence[Mapping[str, float]]) -> Spread:
    common = set.intersection(*(set(own) for own in values))
    means = [fmean(own[name] for name in common) if common else 0.0 for own in values]
    return {
        "runs": len(means),
        "mean": fmean(means),
        "stdev": stdev(means),
        "lowest": min(means),
        "highest": max(means),
    }
