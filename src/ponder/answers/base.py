"""What an answer is, for a task."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ponder.types import Answer, Problem


class AnswerKind(Protocol):
    """Finds the answer in a solution and gives it the key that it votes under."""

    name: str
    """Names it in recipes and provenance."""

    def extract(self, text: str) -> str | None:
        """The answer that `text` states, or None. Reads text only, in linear time."""
        ...

    async def parse(self, raw: str) -> Answer:
        """The raw answer with its canonical key, computed within limits of size and time."""
        ...

    def close(self) -> None:
        """Free what parsing holds; a second call does nothing."""
        ...


@runtime_checkable
class ReadsProblem(Protocol):
    """A kind that reads an answer by what the problem offers, as its choices."""

    def for_problem(self, problem: Problem) -> AnswerKind:
        """The kind for this problem; what it holds belongs to the kind that it is made from."""
        ...


def kind_for(kind: AnswerKind, problem: Problem) -> AnswerKind:
    """`kind` as it reads this problem's answers: itself, unless it is a `ReadsProblem`."""
    return kind.for_problem(problem) if isinstance(kind, ReadsProblem) else kind
