"""How fast a verifier was, as its reports tell it."""

from __future__ import annotations

from typing import TypedDict

from ponder.evals.score_many import Pace


class Throughput(TypedDict):
    """What was scored, and at what cost."""

    solutions: int
    seconds: float
    solutions_per_second: float | None
    """None where nothing was scored."""
    tokens: int | None
    """Of the verifier's input, each node of a problem's prefix tree once; None: not told."""
    tokens_per_second: float | None
    computed: int | None
    """See `Counted`; None: not told."""
    distinct: int | None
    computed_per_distinct: float | None
    """1 is every token computed once."""
    floor_per_distinct: float | None
    """The least that a server's cache allows."""
    critiques: int | None
    """A judge's; None: the verifier draws none."""
    unparsable: int | None
    """Critiques without a verdict: they were left out."""


def throughput(pace: Pace) -> Throughput:
    """A pace, ready for JSON."""
    computed, distinct, floor, critiques, unparsable = pace.counted
    return {
        "solutions": pace.solutions,
        "seconds": pace.seconds,
        "solutions_per_second": _ratio(pace.solutions, pace.seconds),
        "tokens": pace.tokens,
        "tokens_per_second": _ratio(pace.tokens, pace.seconds),
        "computed": computed,
        "distinct": distinct,
        "computed_per_distinct": _ratio(computed, distinct),
        "floor_per_distinct": _ratio(floor, distinct),
        "critiques": critiques,
        "unparsable": unparsable,
    }


def _ratio(count: float | None, of: float | None) -> float | None:
    return count / of if count and of else None
