"""When enough samples have been seen: exact rules, which change no answer, and statistical ones.

A rule is asked after each sample in index order, while there is at least one `left` (the rule
by windows after the last one too); it sees the ballots so far, a sample without a vote among them
as a ballot without a key.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, get_args

from ponder.search.selection import TIE, Ballot

Stopping = Literal["none", "exact", "adaptive_consistency", "early_stopping_self_consistency"]
"""How a strategy that votes may stop before its last sample."""

STOPPING: Final[tuple[str, ...]] = get_args(Stopping)

Rule = Callable[[Sequence[Ballot], int], bool]
"""From the ballots so far and the number of samples left to whether to stop."""

CONFIDENCE: Final = 0.95
"""Of adaptive consistency: the paper's threshold."""

WINDOW: Final = 5
"""Samples of one window of early-stopping self-consistency."""


def majority_settled(ballots: Sequence[Ballot], left: int) -> bool:
    """No sequence of `left` more votes gives another answer to the majority of all.

    An answer seen later loses a tie, so the leader may be caught up with by those behind it and
    not by those before it. Optimal: wherever it says no, some votes would change the answer.
    """
    votes = Counter(ballot.key for ballot in ballots if ballot.key is not None)
    if not votes:
        return False
    # Keys are in the order in which they were first seen, and `max` takes the first of equals.
    leader = max(votes, key=votes.__getitem__)
    before = True
    for key, count in votes.items():
        if key == leader:
            before = False
        elif count + left >= votes[leader] + (not before):
            return False
    return left <= votes[leader]  # an answer not seen so far comes later than the leader


def weighted_settled(ballots: Sequence[Ballot], left: int) -> bool:
    """No `left` more votes with scores in [0, 1] give another answer to weighted voting."""
    sums: dict[str, list[float]] = {}
    for key, score in ballots:
        if key is not None and score is not None:
            sums.setdefault(key, []).append(score)
    totals = sorted((math.fsum(scores) for scores in sums.values()), reverse=True)
    first, second = [*totals[:2], 0.0, 0.0][:2]
    return first - second > left + TIE


def best_of_n_settled(ballots: Sequence[Ballot], _left: int) -> bool:
    """A sample has the score 1, which none of those left can exceed."""
    return any(ballot.score == 1.0 for ballot in ballots)


EXACT: Mapping[str, Rule] = MappingProxyType(
    {
        "majority": majority_settled,
        "weighted": weighted_settled,
        "best_of_n": best_of_n_settled,
    }
)
"""By selector: stop when the selector's answer is that of all samples, whatever is left."""


def adaptive_consistency(ballots: Sequence[Ballot], _left: int) -> bool:
    """The leading answer is the likelier one of the best two, at 95 % (Aggarwal et al. 2023, 3.2).

    With `a` and `b` the largest two counts: 1 - I_0.5(a + 1, b + 1) >= 0.95, where the regularised
    incomplete beta function of whole numbers is a tail of the binomial distribution.
    """
    votes = Counter(ballot.key for ballot in ballots if ballot.key is not None)
    (_, first), (_, second) = [*votes.most_common(2), ("", 0), ("", 0)][:2]
    draws = first + second + 1
    tail = sum(math.comb(draws, count) for count in range(first + 1, draws + 1)) / 2**draws
    return bool(1 - tail >= CONFIDENCE)


def unanimous_window(ballots: Sequence[Ballot], _left: int) -> bool:
    """The last `WINDOW` samples form a whole window and agree (Li et al. 2024, section 3.2).

    The answer is then that window's, whatever came before it.
    """
    if not ballots or len(ballots) % WINDOW:
        return False
    keys = {ballot.key for ballot in ballots[-WINDOW:]}
    return len(keys) == 1 and None not in keys


def rule_of(stopping: Stopping, selector: str) -> Rule | None:
    """The rule by its name and the selector whose answer it guards; None: draw all."""
    rules: dict[str, Rule | None] = {
        "none": None,
        "exact": EXACT[selector],
        "adaptive_consistency": adaptive_consistency,
        "early_stopping_self_consistency": unanimous_window,
    }
    return rules[stopping]


class Poll:
    """The votes of one problem in index order, whatever order they come in, and the rule's word.

    A later sample never counts before an earlier one has ended, so where the poll ends depends on
    the samples alone.
    """

    def __init__(self, rule: Rule | None, n: int) -> None:
        self.ballots: list[Ballot] = []
        """Counted, in index order; it ends where the rule said so."""
        self.settled = False
        """The rule ended it: before the last of the `n`, but for a last window that agrees."""
        self._rule = rule
        self._n = n
        self._early: dict[int, Ballot] = {}

    @property
    def asks(self) -> bool:
        """There is a rule, which reads the votes."""
        return self._rule is not None

    def put(self, index: int, ballot: Ballot) -> None:
        """The sample at `index` has ended, with this vote."""
        self._early[index] = ballot
        while not self.settled and len(self.ballots) in self._early:
            self.ballots.append(self._early.pop(len(self.ballots)))
            left = self._n - len(self.ballots)
            asked = left > 0 or self._rule is unanimous_window  # the last window decides alone, too
            self.settled = self._rule is not None and asked and self._rule(self.ballots, left)
