"""A session that a strategy takes up where samples are there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from ponder.session.base import Finish, Samples, Session
from ponder.trace import Trace
from ponder.types import NodePath, Prefix, Sample, Sampling


class Begun(NamedTuple):
    """What was done before, and for whom."""

    strategy: str
    """Whose trace it will be, by its registered name."""
    n: int
    """That strategy's n."""
    drawn: int
    """Samples drawn at the root."""
    solutions: Sequence[Sample]
    """Those of them that did not fail: candidates of the trace."""


class Continued:
    """A session whose samples at the root are numbered after those that were drawn before."""

    def __init__(self, session: Session, begun: Begun) -> None:
        self._session = session
        self._begun = begun
        self.answers = session.answers
        self.verifiers = session.verifiers
        self.will_score = session.will_score
        self.score = session.score
        self.record = session.record

    @property
    def exhausted(self) -> bool:
        """The budget refused a sample, or its time is over."""
        return self._session.exhausted

    def sample(self, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling) -> Samples:
        """Draw samples; those at the root are numbered after the ones before."""
        return self._session.sample(prefix, [self._after(path) for path in paths], sampling)

    def _after(self, path: NodePath) -> NodePath:
        return path if len(path) > 1 else (path[0] + self._begun.drawn,)

    def fork(
        self, count: int, width: int, sampling: Sampling
    ) -> Sequence[AbstractContextManager[Session]]:
        """Parts whose samples are numbered so too."""
        return [self._part(part) for part in self._session.fork(count, width, sampling)]

    @contextmanager
    def _part(self, part: AbstractContextManager[Session]) -> Iterator[Session]:
        with part as session:
            yield Continued(session, self._begun)

    async def finish(self, finish: Finish) -> Trace:
        """The trace, with the solutions from before among the candidates."""
        begun = self._begun
        return await self._session.finish(
            finish._replace(
                strategy=begun.strategy,
                n=begun.n,
                solutions=[*begun.solutions, *finish.solutions],
            )
        )
