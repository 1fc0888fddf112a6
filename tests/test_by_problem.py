"""What is kept of a problem object, and no longer than it."""

from __future__ import annotations

from ponder.backends.by_problem import ByProblem
from ponder.types import Problem


def test_a_value_goes_with_its_own_problem_and_with_no_equal_one() -> None:
    kept = ByProblem[list[int]](list)
    first, second = Problem.ask("What?"), Problem.ask("What?")
    assert first == second
    kept.of(first).append(1)
    kept.of(second).append(2)
    assert (kept.of(first), kept.of(second)) == ([1], [2])
    assert kept.values() == [[1], [2]]
    del first
    assert kept.values() == [[2]]
    assert kept.of(second) == [2]
