"""What problems that are open will have taken when they end, by those that ended before them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple


class Bill(NamedTuple):
    """What one problem counts for; what it does not tell is 0."""

    tokens: float
    money: float


class Kind(NamedTuple):
    """Problems that are expected to take as much: solved by one strategy at one n."""

    strategy: str
    n: int


UNKNOWN = Bill(math.inf, math.inf)
"""Expected before any problem of the kind is finished: no other fits beside it."""


@dataclass(slots=True)
class ExpectedSpending:
    """The open problems, and what each kind takes: the mean of its finished ones."""

    open: Counter[Kind] = field(default_factory=Counter)
    finished: dict[Kind, list[Bill]] = field(default_factory=dict)

    def of(self, kind: Kind) -> Bill:
        """One problem of the kind."""
        known = self.finished.get(kind)
        if known is None:
            return UNKNOWN
        return Bill(fmean(bill.tokens for bill in known), fmean(bill.money for bill in known))

    def of_open(self) -> Bill:
        """All that are open, from their beginning to their end."""
        return Bill(self._sum(lambda bill: bill.tokens), self._sum(lambda bill: bill.money))

    def _sum(self, part: Callable[[Bill], float]) -> float:
        return sum(count * part(self.of(kind)) for kind, count in self.open.items() if count)
