"""What the statistics see of a run: keys, scores, grades and tokens, no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ponder.search.selection import Ballot


@dataclass(frozen=True, slots=True)
class GradedCandidate:
    """One candidate."""

    key: str | None
    """The answer's group; None: no vote."""
    score: float | None
    """The ranking score; None: not scored."""
    correct: bool
    tokens: int | None = None
    """Generated tokens; None: not told."""
    root: int = 0
    """First index of its path."""

    @property
    def ballot(self) -> Ballot:
        """What a selector sees of it."""
        return Ballot(self.key, self.score)


@dataclass(frozen=True, slots=True)
class GradedProblem:
    """One problem's candidates in the order they were drawn."""

    id: str
    candidates: tuple[GradedCandidate, ...]
    """Empty when the problem failed: it counts as wrong."""
    exchangeable: bool = True
    """The candidates are independent samples: any subset could have been the draw."""
    spent: int | None = None
    """Generated tokens of the whole search; None: not told."""
    level: str | None = None
    subject: str | None = None
    chosen: int | None = None
    """Index of the candidate that the run answered with; None: no answer."""


_ROUNDING = 1e-12
"""More than a computed probability is off by."""


class Estimate(NamedTuple):
    """How often one problem is answered right."""

    value: float
    """Within [0, 1]."""
    mc_stderr: float = 0.0
    """Standard error of a Monte Carlo mean; 0 when exact."""


def probability(computed: float) -> float:
    """What was `computed` with rounding; exactly 0 or 1 where it is that but for rounding."""
    if computed < _ROUNDING:
        return 0.0
    return 1.0 if computed > 1 - _ROUNDING else computed
