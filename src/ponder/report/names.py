"""What runs are called: as little of their paths as tells them apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Parts = tuple[str, ...]


def short_names(paths: Sequence[Path]) -> list[str]:
    """A name a path: the shortest ends that differ, without the swept values that all share.

    An end does not begin with a swept value ("n=4") where there is a folder before it that not all
    have in common. Paths that are given twice are called by the whole path.
    """
    wholes = [path.resolve().parts for path in paths]
    if len(set(wholes)) < len(wholes):
        return [str(path) for path in paths]
    shared = len(Path(os.path.commonpath([path.resolve() for path in paths])).parts)
    common = min(shared, min(map(len, wholes)) - 1)
    tails = _without_shared([parts[common:] for parts in wholes])
    longest = max(len(tail) for tail in tails)
    ends = ([_end(tail, length) for tail in tails] for length in range(1, longest + 1))
    found = next((own for own in ends if len(set(own)) == len(own)), tails)
    return ["/".join(parts) for parts in found]


def _without_shared(tails: Sequence[Parts]) -> list[Parts]:
    """Without "key=value" folders that all have, where that leaves them different."""
    shared = set.intersection(*map(set, tails))
    left = [tuple(p for p in tail if "=" not in p or p not in shared) for tail in tails]
    return left if all(left) and len(set(left)) == len(left) else list(tails)


def _end(tail: Parts, length: int) -> Parts:
    start = max(len(tail) - length, 0)
    while start and "=" in tail[start]:
        start -= 1
    return tail[start:]
