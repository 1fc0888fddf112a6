"""The seam between strategies and everything that costs something."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ponder.answers.base import AnswerKind
from ponder.search.selection import Aggregation
from ponder.trace import Decision, Node, Trace
from ponder.types import NodePath, Prefix, Sample, Sampling, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo


class Finish(NamedTuple):
    """How a strategy ends: its solutions, and how the answer is chosen among them."""

    strategy: str
    """The strategy's registered name."""
    n: int
    """The strategy's n."""
    solutions: Sequence[Sample]
    """Each becomes a candidate of the trace."""
    selector: str = "majority"
    """One of `search.selection.SELECTORS`."""
    aggregation: Aggregation = "last"
    """How step scores become one: one of `search.selection.Aggregation`."""
    superseded: Collection[NodePath] = ()
    """Solutions that a later one replaced: kept as candidates, without a vote."""
    settled: bool = False
    """A stopping rule ended it before its n."""
    surplus: Collection[NodePath] = ()
    """Samples that were given and that nothing rests on: wasted, and no part of the trace."""


class Samples(Protocol):
    """The samples of one call, in order of completion."""

    def __aiter__(self) -> AsyncIterator[Sample]: ...

    async def __anext__(self) -> Sample: ...

    async def aclose(self) -> None:
        """End what still runs; the samples not yet yielded do not count."""
        ...


class Session(Protocol):
    """One problem's: draws samples, scores them, keeps the budget, writes down what was decided."""

    @property
    def answers(self) -> AnswerKind:
        """What an answer is for this problem."""
        ...

    @property
    def verifiers(self) -> Sequence[VerifierInfo]:
        """The verifiers; the first one's scores are what `score` returns."""
        ...

    @property
    def exhausted(self) -> bool:
        """The budget refused a sample, or its time is over."""
        ...

    def sample(self, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling) -> Samples:
        """Draw one sample a path that continues `prefix`, in order of completion.

        The place in the budget's order is taken when this is called, not when the iterator is
        read; paths come in (depth, path) order. A path that the budget refuses yields nothing.
        `sampling.max_tokens` is what is left for the solution.
        """
        ...

    def will_score(self, prefix: Prefix) -> None:
        """Say that `score` will be called with this prefix, once others have ended that go with it.

        While the engine has slots to spare, it is scored meanwhile; while it has none, in one call
        with the others.
        """
        ...

    async def score(self, prefixes: Sequence[Prefix]) -> list[StepScores | ScoreFailure]:
        """Score prefixes by every verifier, equal ones once; the first verifier's scores."""
        ...

    def record(self, event: Decision) -> None:
        """Write down what was kept, pruned or chosen, and why."""
        ...

    def fork(
        self, count: int, width: int, sampling: Sampling
    ) -> Sequence[AbstractContextManager[Session]]:
        """Sessions for `count` parts of the search that never wait for each other.

        Each asks for at most `width` samples a depth, and the paths of an earlier part come first
        at each depth: with this the budget's order holds without a barrier. Leaving a part's
        context says that it asks for nothing more.
        """
        ...

    async def finish(self, finish: Finish) -> Trace:
        """The trace of all that was counted, with the answer that the selector chooses."""
        ...


class Observer(Protocol):
    """Told what happens as it happens: a live view."""

    def on_node(self, problem_id: str, node: Node) -> None:
        """A sample ended, or its scores came."""
        ...

    def on_decision(self, problem_id: str, decision: Decision) -> None:
        """A strategy decided something."""
        ...
