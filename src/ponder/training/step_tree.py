"""The distinct steps of a problem's solutions: what solutions share is read and learned once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ponder.types import Prefix
from ponder.verifiers.reading import step_texts

Path = tuple[str, ...]
"""The texts of the steps from the first one on, without their separators."""


class StepTree(NamedTuple):
    """Steps numbered in order of arrival; a step is one with all that stands before it."""

    paths: tuple[Path, ...]
    """Of each distinct step."""
    ways: tuple[tuple[int, ...], ...]
    """Of each solution, the numbers of its steps; empty for a solution without text."""


def step_tree(prefixes: Iterable[Prefix]) -> StepTree:
    """The distinct steps of these solutions, as verifiers read them."""
    numbers: dict[Path, int] = {}
    ways = []
    for prefix in prefixes:
        texts = step_texts(prefix)
        starts = (texts[:depth] for depth in range(1, len(texts) + 1))
        ways.append(tuple(numbers.setdefault(path, len(numbers)) for path in starts))
    return StepTree(tuple(numbers), tuple(ways))
