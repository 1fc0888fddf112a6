"""What is right, for each answer kind: the kind's own reading, the example and its reference."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol, cast

from ponder.answers.base import AnswerKind, kind_for
from ponder.answers.exact import FunctionAnswers, ReasoningGymAnswers
from ponder.answers.math import MathAnswers
from ponder.answers.worker import LimitedWorkers
from ponder.errors import UsageError
from ponder.evals.datasets.gym import ENVIRONMENT, SCORER, require_gym
from ponder.evals.grading import Comparison, Grader, Verdict
from ponder.types import Example
from ponder.verifiers.function import load_function

FULL_SCORE = 1 - 1e-9
"""A reasoning-gym score from which an answer is right: part of a score is not."""

Right = Callable[[str, Example], object]
"""A user's function: whether an answer to the example is right; may be async."""


class Given(NamedTuple):
    """An answer to an example that has a reference."""

    example: Example
    raw: str

    @property
    def name(self) -> tuple[str, str]:
        """What equal answers to one problem share: they are graded once."""
        return self.example.problem.id, self.raw


class Grading(Protocol):
    """How the answers of one kind are graded."""

    async def grade(self, given: Sequence[Given]) -> list[Verdict]:
        """Whether each is right, in the order asked; what cannot be decided says why."""
        ...


def check_gradable(kind: AnswerKind) -> None:
    """Raise UsageError for a function that cannot be loaded, MissingExtraError for a package."""
    if isinstance(kind, FunctionAnswers):
        loaded(kind.name)
    elif isinstance(kind, ReasoningGymAnswers):
        require_gym()


@asynccontextmanager
async def grading_of(kind: AnswerKind, grader: Grader) -> AsyncIterator[Grading]:
    """The grading of a kind: mathematics by `grader`, others by their keys or their own scorer.

    Raises what `check_gradable` does.
    """
    check_gradable(kind)
    if isinstance(kind, MathAnswers):
        yield ByMathVerify(grader)
    elif isinstance(kind, FunctionAnswers):
        yield ByFunction(loaded(kind.name))
    elif isinstance(kind, ReasoningGymAnswers):
        gym = ByReasoningGym()
        try:
            yield gym
        finally:
            await gym.aclose()
    else:
        yield ByKey(kind)


class ByMathVerify:
    """Right is what math-verify finds equal to the reference."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    async def grade(self, given: Sequence[Given]) -> list[Verdict]:
        """All at once, in worker processes; equal comparisons are made once."""
        pairs = [Comparison(_reference(example), raw) for example, raw in given]
        return await self._grader.grade_many(pairs)


class ByKey:
    """Right is what has the reference's key: the same letter, the same text."""

    def __init__(self, kind: AnswerKind) -> None:
        self._kind = kind

    async def grade(self, given: Sequence[Given]) -> list[Verdict]:
        """One after the other: these keys take no time."""
        return await _in_turn(given, self._verdict)

    async def _verdict(self, example: Example, raw: str) -> Verdict:
        kind = kind_for(self._kind, example.problem)
        answer, reference = await kind.parse(raw), await kind.parse(_reference(example))
        return Verdict(answer.key == reference.key)


class ByReasoningGym:
    """Right is what the task's own scorer gives the full score; part of it is not right.

    The scorers run in a worker process, since some of them compute what the answer says; one, since
    scoring takes less time than starting another.
    """

    def __init__(self, workers: int = 1, seconds: float = 10.0, memory_mb: int = 4096) -> None:
        self._workers = LimitedWorkers(
            SCORER,
            workers=workers,
            seconds=seconds,
            memory_mb=memory_mb,
            environment=ENVIRONMENT,
        )

    async def grade(self, given: Sequence[Given]) -> list[Verdict]:
        """As many at once as there are processes."""
        different = {one.name: one for one in given}
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(self._verdict(*one)) for name, one in different.items()
            }
        return [tasks[one.name].result() for one in given]

    async def aclose(self) -> None:
        """End the worker processes."""
        await asyncio.to_thread(self._workers.close)

    async def _verdict(self, example: Example, raw: str) -> Verdict:
        made = example.extra.get("reasoning_gym")
        if not isinstance(made, Mapping):
            return Verdict(False, "the problem does not say how reasoning-gym made it")
        outcome = await self._workers.call(dict(made), example.problem.question, raw)
        if not isinstance(outcome.value, int | float):
            return Verdict(False, outcome.failed or f"its score is {outcome.value!r}")
        return Verdict(outcome.value >= FULL_SCORE)


class ByFunction:
    """Right is what a user's function says of the answer and its example.

    It runs in this process, one call after the other, in a thread unless it is async. What it
    raises, and a result that is neither true nor false, is a verdict that could not be given.
    """

    def __init__(self, function: Right) -> None:
        self._function = function

    async def grade(self, given: Sequence[Given]) -> list[Verdict]:
        """In the order asked."""
        return await _in_turn(given, self._verdict)

    async def _verdict(self, example: Example, raw: str) -> Verdict:
        try:
            said = await self._said(example, raw)
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises
            return Verdict(False, f"{type(error).__name__}: {' '.join(str(error).split())}"[:200])
        if not isinstance(said, bool | int | float) or said not in (0, 1):
            return Verdict(False, f"the function must return true or false, got {said!r}"[:200])
        return Verdict(bool(said))

    async def _said(self, example: Example, raw: str) -> object:
        if inspect.iscoroutinefunction(self._function):
            return await cast("Awaitable[object]", self._function(raw, example))
        return await asyncio.to_thread(self._function, raw, example)


async def _in_turn(
    given: Sequence[Given], verdict: Callable[[Example, str], Awaitable[Verdict]]
) -> list[Verdict]:
    """The verdicts in the order asked, each different one asked for once."""
    known: dict[tuple[str, str], Verdict] = {}
    for one in given:
        if one.name not in known:
            known[one.name] = await verdict(*one)
    return [known[one.name] for one in given]


def loaded(name: str) -> Right:
    """The function that "module:function" names; UsageError if it is none."""
    found: object = load_function(name)
    if not callable(found):
        raise UsageError(f"{name} is no function: it must take an answer and its example")
    return cast("Right", found)


def _reference(example: Example) -> str:
    assert example.reference is not None
    return example.reference
