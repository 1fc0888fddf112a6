"""What refining changed: the figure that self-refinement is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from ponder.trace import Trace
from ponder.types import NodePath


class Changes(NamedTuple):
    """Refinements counted over all chains; a chain's rounds are compared one after the other."""

    refinements: int
    """Solutions that replaced another one."""
    right_to_wrong: int
    wrong_to_right: int


def changes(traces: Iterable[Trace], grades: Mapping[tuple[str, NodePath], bool]) -> Changes:
    """Count what each refinement did to the solution before it.

    Candidates of one chain share the first index of their paths; a deeper one came later. One that
    the budget cut replaced nothing.
    """
    refinements = lost = won = 0
    for trace in traces:
        chains: dict[int, list[bool]] = {}
        cut = {node.path for node in trace.nodes if node.cut}
        for candidate in sorted(trace.candidates, key=lambda one: len(one.path)):
            if candidate.path in cut:
                continue
            right = grades.get((trace.problem_id, candidate.path), False)
            chains.setdefault(candidate.path[0], []).append(right)
        for rounds in chains.values():
            steps = list(pairwise(rounds))
            refinements += len(steps)
            lost += steps.count((True, False))
            won += steps.count((False, True))
    return Changes(refinements, lost, won)
