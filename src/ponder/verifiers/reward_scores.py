"""From what a model computed at one token to the score of a step or solution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ponder.errors import VerifierError
from ponder.verifiers.reward_family import Read

START = 1.0
"""The score of empty steps before any other."""


def score_at(outputs: ArrayLike, read: Read) -> float:
    """The score in the family's range, from one token's [width] logits, classes or value.

    Raises VerifierError for numbers that are not finite and for a head of another width than the
    family reads.
    """
    row = np.asarray(outputs, dtype=np.float64)
    if not np.isfinite(row).all():
        raise VerifierError(f"the model computed {row.tolist()}, which is no score")
    if read.head == "value":
        return _value(_exactly(row, 1)[0], read)
    weights = np.exp(row - row.max())
    if read.head == "labels":
        chosen = _exactly(weights, 2)[:1]
    elif max(read.positive) < len(row):
        chosen = weights[list(read.positive)]
    else:
        raise VerifierError(
            f"the family reads the classes {list(read.positive)}, and the model has {len(row)}"
        )
    return float(min(chosen.sum() / weights.sum(), 1.0))


def _value(value: float, read: Read) -> float:
    if read.squash == "none":
        return float(np.clip(value, read.low, read.high))
    return float(0.5 * (1.0 + np.tanh(0.5 * value)))


def _exactly(row: np.ndarray, width: int) -> np.ndarray:
    if len(row) != width:
        raise VerifierError(
            f"the family reads {width} numbers a token, and the model has {len(row)}"
        )
    return row
