"""The seam of strategies."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

from ponder.session.base import Session
from ponder.trace import Trace
from ponder.types import Problem


class Most(NamedTuple):
    """The most that one problem can take, whatever the model says."""

    generations: int
    generated_tokens: int


class Strategy(Protocol):
    """Spends a budget on one problem. A frozen dataclass: its fields are its knobs."""

    name: ClassVar[str]
    """Registered name, as in recipes and traces."""

    @property
    def n(self) -> int:
        """Samples, beams or chains."""
        ...

    @property
    def selector(self) -> str:
        """What chooses the answer unless told otherwise."""
        ...

    @property
    def exchangeable(self) -> bool:
        """Candidates are independent draws, so that subsets of them mean something."""
        ...

    @property
    def at_most(self) -> Most:
        """What one problem takes at most, without a budget."""
        ...

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Search until done or out of budget.

        A deterministic function of what the session answers.
        """
        ...
