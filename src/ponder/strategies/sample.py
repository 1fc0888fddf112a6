"""Independent samples: what greedy decoding, majority, best of N and weighted voting draw on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from ponder.errors import UsageError
from ponder.search.selection import Aggregation
from ponder.search.stopping import STOPPING, WINDOW, Poll, Stopping, rule_of
from ponder.session.base import Finish, Samples, Session
from ponder.strategies.ballots import ballot_of, scored
from ponder.strategies.base import Most
from ponder.strategies.knobs import at_least_one
from ponder.trace import Decision, Trace
from ponder.types import NodePath, Prefix, Problem, Sample, Sampling


@dataclass(frozen=True, slots=True)
class RepeatedSampling:
    """n independent solutions, each scored as it ends (Brown et al. 2024, section 2).

    With a `stopping` rule they are drawn in waves, and the rule is asked after each of them in
    index order. `exact` stops when the selector's answer is that of all n, whatever the others
    would say. `adaptive_consistency` (Aggarwal et al. 2023) stops when the majority is likely not
    to change, `early_stopping_self_consistency` (Li et al. 2024) when five samples in a row agree,
    whose answer it takes: these two may change the answer.
    """

    name: ClassVar[str] = "sample"

    n: int = 4
    """Solutions; at least 1."""
    stopping: Stopping = "none"
    wave: int = 0
    """Samples drawn at a time under a stopping rule; 0: all n. Small waves save more and last
    longer."""
    sampling: Sampling = Sampling()
    """How each is drawn; its separator is not used."""
    selector: str = "majority"
    aggregation: Aggregation = "last"
    """How step scores become one, for selectors that need a score."""

    def __post_init__(self) -> None:
        at_least_one(self, "n")
        if self.wave < 0:
            raise UsageError(f"`wave` must be at least 0, got {self.wave}")
        if self.stopping not in STOPPING:
            known = ", ".join(STOPPING)
            raise UsageError(f"`stopping` must be one of {known}, got {self.stopping!r}")
        if self.stopping not in ("none", "exact") and self.selector != "majority":
            raise UsageError(
                f"`stopping` = {self.stopping!r} is a rule for majority votes, and the selector is "
                f"{self.selector!r}: use `exact`, or the selector majority"
            )

    @property
    def exchangeable(self) -> bool:
        """How many samples a rule leaves depends on what they are."""
        return self.stopping == "none"

    @property
    def at_most(self) -> Most:
        """Every sample to its limit."""
        return Most(self.n, self.n * self.sampling.max_tokens)

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Draw, score as they end, choose."""
        self._check_scores(session)
        poll = Poll(rule_of(self.stopping, self.selector), self.n)
        drawn = _Drawn(session, poll, self.aggregation)
        size = self.wave if self.wave and self.stopping != "none" else self.n
        for first in range(0, self.n, size):
            paths = [(index,) for index in range(first, min(first + size, self.n))]
            await drawn.wave(session.sample(Prefix.root(problem), paths, self.sampling.whole()))
            if poll.settled:
                break
        return await session.finish(self._finish(session, drawn))

    def _check_scores(self, session: Session) -> None:
        """The exact rules for scores hold for scores from 0 to 1."""
        if self.stopping != "exact" or self.selector == "majority" or not session.verifiers:
            return
        info = session.verifiers[0]
        if info.low < 0 or info.high > 1:
            raise UsageError(
                f"`stopping` = 'exact' needs scores from 0 to 1, and those of {info.name} are from "
                f"{info.low:g} to {info.high:g}: use `stopping` = 'none'"
            )

    def _finish(self, session: Session, drawn: _Drawn) -> Finish:
        votes = len(drawn.poll.ballots)
        if not drawn.poll.settled:
            solutions = list(drawn.solutions.values())
            return Finish(self.name, self.n, solutions, self.selector, self.aggregation)
        reason = f"{self.stopping}: {votes} of {self.n} samples decide"
        session.record(Decision("settled", ((votes - 1,),), reason))
        return Finish(
            self.name,
            self.n,
            [solution for path, solution in drawn.solutions.items() if path < (votes,)],
            self.selector,
            self.aggregation,
            superseded=self._outvoted(votes),
            settled=True,
            surplus=[path for path in drawn.given if path >= (votes,)],
        )

    def _outvoted(self, votes: int) -> Collection[NodePath]:
        """What came before the window that agrees: its answer is taken."""
        unanimous = self.stopping == "early_stopping_self_consistency"
        return [(index,) for index in range(votes - WINDOW)] if unanimous else ()


@dataclass(slots=True)
class _Drawn:
    """The samples of one problem so far, and what they vote."""

    session: Session
    poll: Poll
    aggregation: Aggregation
    given: list[NodePath] = field(default_factory=list)
    solutions: dict[NodePath, Sample] = field(default_factory=dict)
    """Those that did not fail."""

    async def wave(self, samples: Samples) -> None:
        """Take the samples of one wave, until the poll is settled."""
        voting: list[asyncio.Task[None]] = []

        async def vote(sample: Sample) -> None:
            if self.poll.asks:
                ballot = await ballot_of(self.session, sample, self.aggregation)
                self.poll.put(sample.path[-1], ballot)
            else:
                await scored(self.session, sample, self.aggregation)
            if self.poll.settled:
                await samples.aclose()
                for other in voting:
                    if other is not asyncio.current_task():
                        other.cancel()

        async with asyncio.TaskGroup() as group:
            async for sample in samples:
                self.given.append(sample.path)
                if not sample.failed:
                    self.solutions[sample.path] = sample
                voting.append(group.create_task(vote(sample)))
