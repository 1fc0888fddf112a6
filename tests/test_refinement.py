"""Counting what refinements changed."""

from __future__ import annotations

from ponder.evals.refinement import Changes, changes
from ponder.trace import Spent, Trace
from ponder.types import Candidate, NodePath


def chained(problem_id: str, *paths: NodePath) -> Trace:
    candidates = tuple(Candidate(path, "") for path in paths)
    return Trace(problem_id, "self_refine", (), (), candidates, None, None, Spent())


def test_rounds_of_a_chain_are_compared_in_order() -> None:
    one = chained("p", (0,), (1,), (0, 0, 0), (1, 0, 0), (0, 0, 0, 0, 0))
    other = chained("q", (0,))
    grades = {
        ("p", (0,)): True,
        ("p", (0, 0, 0)): False,
        ("p", (0, 0, 0, 0, 0)): True,
        ("p", (1,)): False,
        ("p", (1, 0, 0)): False,
        ("q", (0,)): True,
    }
    assert changes([one, other], grades) == Changes(3, right_to_wrong=1, wrong_to_right=1)


def test_nothing_refined_is_nothing_changed() -> None:
    assert changes([], {}) == Changes(0, 0, 0)
