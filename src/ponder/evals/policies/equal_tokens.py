"""A policy beside every fixed choice at equal generated tokens.

At equal n some spend more than others, so a gain may be bought. Here each fixed choice is brought
to what the policy spends, by mixing two n around it; where it cannot be, it is said so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

from ponder.evals.policies.halves import Folds, best_of_other_half
from ponder.evals.policies.ladder import Ladder, Rung
from ponder.evals.policies.rows import FitRow, fit_row

Spends = Literal["equal", "less", "more"]
"""What a fixed choice spends beside the policy, when it is brought as near as it can be."""

Finding = Literal["beaten", "better", "open", "unmatched"]
"""Of a fixed choice: the policy is better for as many tokens (or fewer), it is itself better than
the policy for as many (or fewer), the interval reaches 0, or nothing is told at equal tokens."""


class EqualRow(FitRow):
    """One fixed choice beside the policy."""

    n: float
    """Between two n both are mixed, so that a problem costs `tokens` on average."""
    policy_n: float
    """The policy's n; between two where it is the policy that is mixed."""
    policy_tokens: float
    spends: Spends
    finding: Finding


class EqualTokens(TypedDict):
    """What was found at the generated tokens that the policy spends at one n."""

    tokens: float
    """The policy's mean of a problem."""
    fixed: list[EqualRow]
    """Each fixed choice, the most accurate first."""
    best_fixed: FitRow
    """One choice for all problems, made on the other half, among what costs no more tokens."""
    better: bool
    """The gain over `best_fixed` has an interval above 0; else a fixed choice is no worse."""
    beats_each: bool
    """Every fixed choice is beaten."""
    untold: list[str]
    """Fixed choices whose tokens are not told."""


def at_equal_tokens(policy: Ladder, n: int, fixed: Sequence[Ladder], halves: Folds) -> EqualTokens:
    """The policy at `n` beside each fixed choice. One at least must cost no more."""
    own = policy.at(n)
    told = [other for other in fixed if other.told]
    untold = [other.name for other in fixed if not other.told]
    rungs = [other.at_tokens(own.tokens) or other.nearest(own.tokens) for other in told]
    rows = [
        _row(policy.around(n), own, other.name, rung)
        for other, rung in zip(told, rungs, strict=True)
    ]
    affordable = [rung.solved for rung in rungs if _spends(rung, own) != "more"]
    best = fit_row(own.solved.values, "best fixed choice", best_of_other_half(affordable, halves))
    return {
        "tokens": own.tokens,
        "fixed": sorted(rows, key=lambda row: -row["accuracy"]),
        "best_fixed": best,
        "better": best["gain_low"] > 0,
        "beats_each": not untold and all(row["finding"] == "beaten" for row in rows),
        "untold": untold,
    }


def _row(policy: Ladder, own: Rung, name: str, rung: Rung) -> EqualRow:
    """A fixed choice that cannot be had for as much stays as it is; the policy may be mixed."""
    if _spends(rung, own) != "equal":
        own = policy.at_tokens(rung.tokens) or own
    row, spends = fit_row(own.solved.values, name, rung.solved), _spends(rung, own)
    return {
        **row,
        "n": rung.n,
        "policy_n": own.n,
        "policy_tokens": own.tokens,
        "spends": spends,
        "finding": _finding(row, spends),
    }


def _spends(rung: Rung, policy: Rung) -> Spends:
    if math.isclose(rung.tokens, policy.tokens):
        return "equal"
    return "less" if rung.tokens < policy.tokens else "more"


def _finding(row: FitRow, spends: Spends) -> Finding:
    if row["gain_low"] > 0 and spends != "less":
        return "beaten"
    if row["gain_high"] < 0 and spends != "more":
        return "better"
    return "open" if spends == "equal" else "unmatched"
