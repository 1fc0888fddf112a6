"""Pools that name their problems by id alone, for data sets whose text is not to be passed on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ponder.errors import UsageError
from ponder.evals.pool_export import level_value
from ponder.evals.pools import PoolProblem
from ponder.types import Example

_OURS = frozenset({"id", "exchangeable", "spent", "candidates"})
"""What a line says that is not the data set's."""


def without_problem(problem: PoolProblem) -> PoolProblem:
    """The line with no question, reference or other column of the data set: id and candidates."""
    own = {key: value for key, value in problem.row().items() if key in _OURS}
    return PoolProblem.model_validate({**own, "answer": None})


def with_problems(
    pool: Iterable[PoolProblem], examples: Sequence[Example], dataset: str
) -> tuple[PoolProblem, ...]:
    """The pool's lines, what they leave out of their problems taken from the `dataset` by id.

    Raises UsageError for an id that the data set does not have, and for a question that is another
    one there.
    """
    by_id = {example.problem.id: example for example in examples}
    return tuple(_filled(problem, by_id.get(str(problem.id)), dataset) for problem in pool)


def _filled(problem: PoolProblem, example: Example | None, dataset: str) -> PoolProblem:
    if example is None:
        raise UsageError(
            f"{dataset} has no problem with the id {str(problem.id)!r}: name the data set that "
            "these candidates were sampled on"
        )
    told = {
        "problem": example.problem.question,
        "answer": example.reference,
        "level": level_value(example.level),
        "subject": example.subject,
        "choices": list(example.problem.choices) or None,
    }
    if problem.problem not in (None, told["problem"]):
        raise UsageError(
            f"the problem {str(problem.id)!r} of {dataset} is another one: "
            f"{example.problem.question[:40]!r}, not {(problem.problem or '')[:40]!r}"
        )
    missing = {
        key: value
        for key, value in told.items()
        if value is not None and getattr(problem, key) is None
    }
    return problem.model_copy(update=missing)
