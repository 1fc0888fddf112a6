"""Which nodes a search keeps and how it spreads its width: pure decisions."""

from __future__ import annotations

from collections.abc import Sequence


def best(scores: Sequence[float | None], keep: int) -> tuple[int, ...]:
    """Indices of the `keep` best scores, best first; ties to the lowest index.

    An unscored node (None) comes after every scored one, so it is never kept over one; a ranking
    without any score keeps the lowest indices.
    """
    ranked = sorted(range(len(scores)), key=lambda i: _rank(scores[i]))
    return tuple(ranked[:keep])


def _rank(score: float | None) -> tuple[bool, float]:
    return (True, 0.0) if score is None else (False, -score)


def expandable(ranked: Sequence[int], scores: Sequence[float | None]) -> tuple[int, ...]:
    """`ranked` without its unscored nodes, unless there are no others."""
    scored = tuple(index for index in ranked if scores[index] is not None)
    return scored or tuple(ranked)


def allot(width: int, nodes: int) -> tuple[int, ...]:
    """How many of `width` children each of `nodes` ranked nodes gets; the remainder to the best.

    Snell et al. 2024 (section 5.2) expand n // m nodes to m children each; where that does not come
    out even, or fewer nodes are left, the whole width is spread all the same.
    """
    if nodes < 1:
        return ()
    share, rest = divmod(width, nodes)
    return tuple(share + (rank < rest) for rank in range(nodes))
