"""How hard a problem is for a model: levels by quantiles, as in Snell et al. 2024, section 3.2."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

LEVELS = 5
"""The paper's number of difficulty levels."""


def mean_score(scores: Sequence[float | None]) -> float | None:
    """The mean of a verifier's final scores: what a problem's difficulty is predicted from.

    Unscored samples are left out; None when there is no score.
    """
    known = [score for score in scores if score is not None]
    return fmean(known) if known else None


def agreement(keys: Sequence[str | None]) -> float | None:
    """The share of the largest group of answers: a prediction that needs no verifier.

    A sample without an answer agrees with nothing; None when there is no sample.
    """
    votes = Counter(key for key in keys if key is not None)
    return max(votes.values(), default=0) / len(keys) if keys else None


def edges_of(values: Sequence[float], levels: int = LEVELS) -> tuple[float, ...]:
    """The lowest value of each level but the last, easiest first: `levels` - 1 falling numbers.

    The levels are quantiles of the values, of which higher ones are easier. Equal values are in
    one level, the easiest that has any of them: where many are equal, as at 0 and 1, levels are
    of unequal size, and some may be empty. Raises ValueError without a value.
    """
    if not values:
        raise ValueError("no values to take quantiles of")
    falling = sorted(values, reverse=True)
    places = [math.ceil(level * len(falling) / levels) for level in range(1, levels)]
    return tuple(falling[place - 1] for place in places)


def level_of(value: float | None, edges: Sequence[float]) -> int:
    """1 is the easiest; a problem without a value is in the last level."""
    if value is None:
        return len(edges) + 1
    return 1 + sum(value < edge for edge in edges)
