"""Right against wrong samples of the same problem: what choosing among samples needs."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np

from ponder.training.rows import Integers, Rows, Vector, sigmoid

PAIRS_A_PROBLEM: Final = 1024
"""Of more pairs random ones are taken."""


class Contrast(NamedTuple):
    """Pairs of ends of solutions, the first of which is the likelier to be right."""

    right: Integers
    """[pairs] Row numbers."""
    wrong: Integers
    """[pairs]"""
    shares: Vector
    """[pairs] Of each pair in the loss; they sum to 1. A problem counts with the square root of its
    right samples times its wrong ones, so that no problem with many pairs drowns the others."""

    @classmethod
    def of(cls, rows: Rows) -> Self | None:
        """All pairs of one right and one wrong sample; None where no problem ended both ways."""
        parts = [
            _pairs(rows, np.flatnonzero((rows.problems == problem) & (rows.ends > 0)))
            for problem in np.unique(rows.problems)
        ]
        right, wrong, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not len(weights):
            return None
        return cls(right, wrong, weights / weights.sum())

    def loss(self, logits: Vector) -> tuple[float, Vector]:
        """The mean of -log sigmoid(right logit - wrong logit), and its slope by row [rows].

        The chance that the right one wins, by Bradley and Terry (1952).
        """
        gaps = logits[self.right] - logits[self.wrong]
        slopes = -self.shares * sigmoid(-gaps)
        by_row = np.zeros_like(logits)
        np.add.at(by_row, self.right, slopes)
        np.subtract.at(by_row, self.wrong, slopes)
        return float(self.shares @ np.logaddexp(0.0, -gaps)), by_row


def _pairs(rows: Rows, own: Integers) -> tuple[Integers, Integers, Vector]:
    """One problem's pairs and their weights, from the rows that end samples."""
    right, wrong = rows.ends[own] * rows.targets[own], rows.ends[own] * (1 - rows.targets[own])
    weights = np.outer(right, wrong)
    np.fill_diagonal(weights, 0.0)  # of one text, which no score can set against itself
    first, second = np.nonzero(weights)
    found = weights[first, second]
    if len(found) > PAIRS_A_PROBLEM:
        drawn = np.random.default_rng(0).choice(len(found), PAIRS_A_PROBLEM, replace=False)
        first, second, found = first[drawn], second[drawn], found[drawn]
    total = np.sqrt(right.sum() * wrong.sum())
    return own[first], own[second], found / max(found.sum(), 1e-12) * total
