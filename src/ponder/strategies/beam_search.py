"""Beam search over reasoning steps, guided by a verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ponder.search.ranking import allot, best, expandable
from ponder.search.selection import Aggregation
from ponder.session.base import Finish, Session
from ponder.strategies.base import Most
from ponder.strategies.branches import Branch, grow, scored
from ponder.strategies.knobs import at_least_one, by_steps, most_by_steps
from ponder.trace import Decision, Trace
from ponder.types import Problem, Sampling


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """Keeps the best n // m of n partial solutions after each step (Snell et al. 2024, 5.2).

    Each iteration samples the next step of every beam, scores the whole prefixes, and expands the
    best to n samples in all. Finished beams are the candidates, the best n by score; the search
    ends when n are finished, when none is active, or after `max_iterations`, the last of which
    generates to the end.
    """

    name: ClassVar[str] = "beam_search"
    exchangeable: ClassVar[bool] = False

    n: int = 4
    """Samples an iteration; at least 1."""
    beam_width: int = 4
    """m: samples a kept beam; at least 1."""
    max_iterations: int = 40
    """At least 1."""
    sampling: Sampling = Sampling(separator="\n\n")
    selector: str = "weighted"
    aggregation: Aggregation = "last"
    """How step scores become the one that ranks."""

    def __post_init__(self) -> None:
        at_least_one(self, "n", "beam_width", "max_iterations")
        by_steps(self.sampling)

    @property
    def at_most(self) -> Most:
        """Every iteration, every step to its limit."""
        return most_by_steps(self.n, self.max_iterations, self.sampling)

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Search step by step."""
        beams = [Branch.root(problem, self.sampling)]
        finished: list[Branch] = []
        for iteration in range(1, self.max_iterations + 1):
            whole = iteration == self.max_iterations
            grown = await scored(
                session, await self._expand(session, beams, whole=whole), self.aggregation
            )
            finished += [branch for branch in grown if branch.finished]
            active = [branch for branch in grown if not branch.finished]
            if not active or len(finished) >= self.n:
                break
            beams = self._keep(session, active)
        return await self._finish(session, finished)

    async def _expand(
        self, session: Session, beams: Sequence[Branch], *, whole: bool
    ) -> list[Branch]:
        sampling = self.sampling.whole() if whole else self.sampling
        shares = zip(beams, allot(self.n, len(beams)), strict=True)
        in_order = sorted(shares, key=lambda pair: pair[0].path)
        streams = [beam.children(session, sampling, count) for beam, count in in_order]
        return await grow(session, [beam for beam, _ in in_order], streams)

    def _keep(self, session: Session, active: Sequence[Branch]) -> list[Branch]:
        """The best n // m, best first; unscored ones only when there is no other."""
        scores = [branch.score for branch in active]
        ranked = best(scores, max(1, self.n // self.beam_width))
        kept = expandable(ranked, scores)
        if scores[kept[0]] is None:
            paths = tuple(branch.path for branch in active)
            session.record(Decision("unscored", paths, "no score: the lowest indices are kept"))
        ranks = {index: rank for rank, index in enumerate(kept, start=1)}
        for index, branch in enumerate(active):
            if index in ranks:
                reason = f"{branch.shown}, rank {ranks[index]} of {len(active)}"
                session.record(Decision("kept", (branch.path,), reason))
            else:
                reason = f"{branch.shown}, not among the best {len(kept)}"
                session.record(Decision("pruned", (branch.path,), reason))
        return [active[index] for index in kept]

    async def _finish(self, session: Session, finished: Sequence[Branch]) -> Trace:
        """The best n finished beams are the candidates."""
        kept = best([branch.score for branch in finished], self.n)
        candidates = set(kept)
        for index, branch in enumerate(finished):
            if index in candidates:
                reason = f"{branch.shown}, a candidate"
                session.record(Decision("finished", (branch.path,), reason))
            else:
                reason = f"{branch.shown}, finished and not among the best {self.n}"
                session.record(Decision("pruned", (branch.path,), reason))
        solutions = [sample for index in kept if (sample := finished[index].sample)]
        return await session.finish(
            Finish(self.name, self.n, solutions, self.selector, self.aggregation)
        )
