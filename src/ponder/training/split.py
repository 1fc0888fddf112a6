"""Which problems a head is trained on, and which it is judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

Part = Literal["train", "validation", "held_out"]
PARTS: tuple[Part, ...] = ("train", "validation", "held_out")

TRAIN, VALIDATION = 0.6, 0.2
"""Shares of the problems; the rest is held out."""


def part_of(problem_id: str, seed: int) -> Part:
    """The part that a problem belongs to.

    By the hash of its id, so that a problem keeps its part whatever else is sampled, and all of
    its samples are in one part.
    """
    place = _uniform("part", problem_id, seed)
    if place < TRAIN:
        return "train"
    return "validation" if place < TRAIN + VALIDATION else "held_out"


def splits(problem_ids: Sequence[str], seed: int, folds: int) -> list[list[Part]]:
    """For each head that is fitted, the part that each problem has in it.

    Without folds that is one head, by `part_of`. With them every problem is held out for one head,
    a validation problem of another, and taught to all the rest.
    """
    if not folds:
        return [[part_of(name, seed) for name in problem_ids]]
    own = [int(_uniform("part", name, seed) * folds) for name in problem_ids]
    first: dict[int, Part] = {0: "held_out", 1: "validation"}
    return [[first.get((fold - head) % folds, "train") for fold in own] for head in range(folds)]


def fold_of(problem_id: str, seed: int, folds: int) -> int:
    """Which of the folds of a cross-validation a problem belongs to."""
    return int(_uniform("fold", problem_id, seed) * folds)


def _uniform(purpose: str, problem_id: str, seed: int) -> float:
    """Within [0, 1)."""
    content = json.dumps([purpose, problem_id, seed]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:6]) / 2**48
