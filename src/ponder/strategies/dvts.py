"""Diverse verifier tree search: independent greedy subtrees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from ponder.errors import UsageError
from ponder.search.ranking import best
from ponder.search.selection import Aggregation
from ponder.session.base import Finish, Session
from ponder.strategies.base import Most
from ponder.strategies.branches import Branch, grow, scored
from ponder.strategies.knobs import at_least_one, by_steps, most_by_steps
from ponder.trace import Decision, Trace
from ponder.types import Problem, Sampling


@dataclass(frozen=True, slots=True)
class DiverseVerifierTreeSearch:
    """n / m subtrees that never wait for each other ("Scaling test-time compute with open models").

    Each iteration a subtree samples m next steps, scores them and goes on from the best; it ends
    when that one ends the text or states the answer, or when no step could be drawn. Its last m
    siblings are its candidates; those still unfinished are completed first, or left out where that
    cannot be.
    """

    name: ClassVar[str] = "dvts"
    exchangeable: ClassVar[bool] = False

    n: int = 4
    """Candidates in all; a multiple of `beam_width`."""
    beam_width: int = 4
    """m: samples a step of a subtree; at least 1."""
    max_iterations: int = 40
    """At least 1; the last generates to the end."""
    sampling: Sampling = Sampling(separator="\n\n")
    selector: str = "weighted"
    aggregation: Aggregation = "last"
    """How step scores become the one that ranks."""

    def __post_init__(self) -> None:
        at_least_one(self, "n", "beam_width", "max_iterations")
        if self.n % self.beam_width:
            raise UsageError(
                f"`n` must be a multiple of `beam_width` = {self.beam_width}, got {self.n}"
            )
        by_steps(self.sampling)

    @property
    def at_most(self) -> Most:
        """Every iteration, and the completion of the last siblings."""
        return most_by_steps(self.n, self.max_iterations, self.sampling, completions=self.n)

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Grow all subtrees at once."""
        subtrees = self.n // self.beam_width
        parts = session.fork(subtrees, self.beam_width, self.sampling)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._subtree(problem, part, index * self.beam_width))
                for index, part in enumerate(parts)
            ]
        solutions = [leaf.sample for task in tasks for leaf in task.result() if leaf.sample]
        return await session.finish(
            Finish(self.name, self.n, solutions, self.selector, self.aggregation)
        )

    async def _subtree(
        self, problem: Problem, part: AbstractContextManager[Session], first: int
    ) -> list[Branch]:
        """The leaves of one subtree; its samples at the root are numbered from `first` on."""
        with part as session:
            branch = Branch.root(problem, self.sampling)
            siblings: list[Branch] = []
            for iteration in range(1, self.max_iterations + 1):
                whole = iteration == self.max_iterations
                sampling = self.sampling.whole() if whole else self.sampling
                number = first if iteration == 1 else 0
                stream = branch.children(session, sampling, self.beam_width, number)
                grown = await scored(
                    session, await grow(session, [branch], [stream]), self.aggregation
                )
                if not grown:
                    return self._finish(session, [s for s in siblings if self._ends(session, s)])
                siblings = grown
                branch = self._choose(session, siblings)
                if self._ends(session, branch):
                    return await self._complete(session, siblings)
        raise AssertionError("the last iteration ends every branch")

    def _choose(self, session: Session, siblings: Sequence[Branch]) -> Branch:
        index = best([sibling.score for sibling in siblings], 1)[0]
        chosen = siblings[index]
        if chosen.score is None:
            paths = tuple(sibling.path for sibling in siblings)
            session.record(Decision("unscored", paths, "no score: the lowest index is kept"))
        for sibling in siblings:
            if sibling is chosen:
                reason = f"{sibling.shown}, the best of {len(siblings)} siblings"
                session.record(Decision("kept", (sibling.path,), reason))
            else:
                reason = f"{sibling.shown}, a sibling has {chosen.shown}"
                session.record(Decision("pruned", (sibling.path,), reason))
        return chosen

    def _ends(self, session: Session, branch: Branch) -> bool:
        return branch.finished or session.answers.extract(branch.prefix.text) is not None

    async def _complete(self, session: Session, siblings: Sequence[Branch]) -> list[Branch]:
        """The siblings as solutions; the unfinished ones generate to the end first."""
        done = [sibling for sibling in siblings if self._ends(session, sibling)]
        rest = [sibling for sibling in siblings if not self._ends(session, sibling)]
        streams = [sibling.children(session, self.sampling.whole(), 1) for sibling in rest]
        completed = await scored(session, await grow(session, rest, streams), self.aggregation)
        return self._finish(session, [*done, *completed])

    def _finish(self, session: Session, leaves: list[Branch]) -> list[Branch]:
        for leaf in leaves:
            session.record(Decision("finished", (leaf.path,), f"{leaf.shown}, a candidate"))
        return leaves
