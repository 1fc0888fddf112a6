"""Token sequences that begin alike: what each adds, and which of them hold the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Ids = Sequence[int]


def without_beginnings(sequences: Sequence[Ids]) -> tuple[tuple[Ids, ...], list[int]]:
    """The sequences that are not the beginning of a later one, last first.

    And for each sequence which of these holds it.
    """
    kept: list[Ids] = []
    holders: list[int] = []
    for ids in reversed(sequences):
        if not kept or kept[-1][: len(ids)] != ids:
            kept.append(ids)
        holders.append(len(kept) - 1)
    return tuple(kept), holders[::-1]


def new_tokens(sequences: Sequence[Ids]) -> list[int]:
    """What each sequence adds to the one before it.

    A token at the end of the first may reach into the second: what they do not share counts as
    the second's.
    """
    same = [shared(before, after) for before, after in pairwise(sequences)]
    first = same[0] if same else len(sequences[0])
    return [first, *(len(ids) - size for ids, size in zip(sequences[1:], same, strict=True))]


def shared(first: Ids, second: Ids) -> int:
    """How many ids at their beginning are the same."""
    size = min(len(first), len(second))
    if first[:size] == second[:size]:
        return size
    return next((at for at in range(size) if first[at] != second[at]), size)
