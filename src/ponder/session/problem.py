"""A session over a real engine and real verifiers, for one problem."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Self

from ponder.answers.base import AnswerKind
from ponder.budget import Lane
from ponder.engines.base import Engine
from ponder.errors import UnsupportedError
from ponder.session.base import Finish, Observer, Samples, Session
from ponder.session.billing import VerifierBill
from ponder.session.drawing import Drawing
from ponder.session.ending import candidates_of, chosen_of, node_of, nodes_of, spent_of, why
from ponder.session.options import SessionOptions
from ponder.session.scoring import Scoring
from ponder.session.slots import Slots
from ponder.store.base import CallLog
from ponder.trace import Decision, Savings, Trace
from ponder.types import NodePath, Prefix, Problem, Sample, Sampling, ScoreFailure, StepScores
from ponder.verifiers.base import Verifier, VerifierInfo


class ProblemSession:
    """Counts, admits, remembers: everything between a strategy and what it calls.

    An asynchronous context manager; leaving it ends all that still runs for the problem.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        verifiers: Sequence[Verifier],
        answers: AnswerKind,
        log: CallLog,
        slots: Slots,
        options: SessionOptions | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._problem = problem
        self._engine = engine
        self._answers = answers
        self._options = options or SessionOptions()
        self._observer = observer
        self._slots = slots
        self._scoring = Scoring(problem, verifiers, log, self._options)
        counted = None if observer is None else self._show_sample
        self._drawing = Drawing(problem, engine, log, slots, self._options, counted)
        self._bill = VerifierBill()
        self._early = self._options.early and self._options.share and len(verifiers) > 0
        self._foreseen: list[Prefix] = []
        self._looking_ahead = False
        self._decisions: list[Decision] = []
        self._started = 0.0

    async def __aenter__(self) -> Self:
        await self._drawing.__aenter__()
        self._started = self._options.clock()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._foreseen.clear()
        await self._drawing.__aexit__(kind, error, traceback)

    @property
    def answers(self) -> AnswerKind:
        """What an answer is for this problem."""
        return self._answers

    @property
    def verifiers(self) -> Sequence[VerifierInfo]:
        """The verifiers; the first one guides."""
        return self._scoring.infos

    @property
    def exhausted(self) -> bool:
        """The budget refused a sample, or its time is over."""
        return self._drawing.ledger.refused or self._drawing.overdue

    def sample(self, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling) -> Samples:
        """Draw one sample a path, in order of completion; see `Session.sample`."""
        return self.sample_in(None, prefix, paths, sampling)

    def sample_in(
        self, lane: Lane | None, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling
    ) -> Samples:
        """The same for one part of the search.

        Raises UnsupportedError for steps from an engine that cannot continue a partial answer.
        """
        capabilities = self._engine.capabilities
        if not capabilities.continues and (sampling.separator is not None or prefix.depth):
            why = f" ({capabilities.why})" if capabilities.why else ""
            raise UnsupportedError(
                f"{capabilities.identity} cannot go on with a partial answer{why}, which a "
                "step-wise search needs: use the strategy `sample`, or another engine or server"
            )
        return self._drawing.open(lane, prefix, paths, sampling)

    def _show(self, paths: Iterable[NodePath]) -> None:
        assert self._observer is not None
        for path in paths:
            node = node_of(self._drawing.samples[path], self._scoring, VerifierBill())
            self._observer.on_node(self._problem.id, node)

    def _show_sample(self, sample: Sample) -> None:
        self._show([sample.path])

    def will_score(self, prefix: Prefix) -> None:
        """Score it now if the engine has slots to spare; see `Session.will_score`."""
        if not (self._early and self._slots.free):
            return
        self._foreseen.append(prefix)
        if len(self._foreseen) == 1 and not self._looking_ahead:
            asyncio.get_running_loop().call_soon(self._look_ahead)

    def _look_ahead(self) -> None:
        """Start scoring what was foreseen, if `score` was not called with it meanwhile."""
        if self._foreseen:
            self._looking_ahead = True
            self._drawing.beside(self._score_foreseen())

    async def _score_foreseen(self) -> None:
        """One call at a time, with all that was foreseen during the one before."""
        while self._foreseen:
            prefixes, self._foreseen = self._foreseen, []
            await self._scoring.score(prefixes, foreseen=True)
        self._looking_ahead = False

    async def score(self, prefixes: Sequence[Prefix]) -> list[StepScores | ScoreFailure]:
        """Score prefixes, equal ones once; see `Session.score`."""
        if self._foreseen:
            asked = set(prefixes)
            self._foreseen = [prefix for prefix in self._foreseen if prefix not in asked]
        charged = () if self._options.budget.total_tokens is None else prefixes
        depths = [self._depth(prefix) for prefix in charged]
        with self._slots.unscored(self._options.rank, len(prefixes)):
            scores = await self._scoring.score(prefixes)
        for prefix, depth in zip(charged, depths, strict=True):
            self._charge(prefix, depth)
        for prefix in prefixes if self._observer else ():
            self._show(self._drawing.paths.get(prefix.key, ()))
        return scores

    def _depth(self, prefix: Prefix) -> int:
        """Of the first node that has this prefix; 0 if none does."""
        return len(min(self._drawing.paths.get(prefix.key, [()])))

    def _charge(self, prefix: Prefix, depth: int) -> None:
        """Charge the budget with the tokens that scoring `prefix` added, where they are told."""
        added = self._bill.new_tokens(prefix, self._scoring.of(prefix))
        if added:
            self._drawing.ledger.charge(depth, added)

    def record(self, event: Decision) -> None:
        """Write down a decision."""
        self._decisions.append(event)
        if self._observer:
            self._observer.on_decision(self._problem.id, event)

    def fork(
        self, count: int, width: int, sampling: Sampling
    ) -> Sequence[AbstractContextManager[Session]]:
        """Parts of the search that never wait for each other; see `Session.fork`."""
        lanes = self._drawing.ledger.fork(count, width, sampling.max_tokens)
        return [_Part(self, lane) for lane in lanes]

    def leave(self, lane: Lane) -> None:
        """A part of the search asks for nothing more."""
        self._drawing.ledger.close(lane)

    async def finish(self, finish: Finish) -> Trace:
        """The trace of all that was counted; see `Session.finish`."""
        self._drawing.discard(finish.surplus)
        samples = self._drawing.samples
        with self._slots.unscored(self._options.rank, len(finish.solutions)):
            candidates = await candidates_of(finish, samples, self._scoring, self._answers)
        chosen = chosen_of(candidates, finish, self.verifiers)
        if chosen is not None:
            self.record(Decision("chosen", (chosen.path,), why(candidates, chosen, finish)))
        nodes = nodes_of(samples.values(), self._scoring)
        return Trace(
            problem_id=self._problem.id,
            strategy=finish.strategy,
            nodes=nodes,
            decisions=tuple(sorted(self._decisions, key=_place)),
            candidates=candidates,
            answer=chosen.answer.raw if chosen and chosen.answer else None,
            chosen=chosen.path if chosen else None,
            spent=spent_of(
                nodes,
                samples.values(),
                None if self._drawing.running else self._drawing.uncounted.values(),
                self._engine.capabilities.parameters,
                self._options.clock() - self._started,
            ),
            selector=finish.selector,
            stopped=self._stopped(finish),
            n=finish.n,
            savings=Savings(
                samples=finish.n - self._drawing.drawn if finish.settled else 0,
                midway=self._drawing.running if finish.settled else 0,
                scores=self._scoring.shared,
                prefixes=self._drawing.shared,
                prompts=self._drawing.repeated if self._keeps_openings else 0,
            ),
        )

    @property
    def _keeps_openings(self) -> bool:
        return self._options.share and self._engine.capabilities.keeps_openings

    def _stopped(self, finish: Finish) -> Literal["complete", "settled", "budget", "deadline"]:
        if finish.settled:
            return "settled"
        if self._drawing.late:
            return "deadline"
        return "budget" if self._drawing.ledger.refused else "complete"


def _place(decision: Decision) -> tuple[int, NodePath]:
    """By the first node that it is about: parts of a search decide in any order of time."""
    path = decision.paths[0] if decision.paths else ()
    return len(path), path


class _Part:
    """A session for one part of a search; the part's context says when it has ended."""

    def __init__(self, session: ProblemSession, lane: Lane) -> None:
        self._session = session
        self._lane = lane
        self.answers = session.answers
        self.verifiers = session.verifiers
        self.will_score = session.will_score
        self.score = session.score
        self.record = session.record
        self.fork = session.fork
        self.finish = session.finish

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.leave(self._lane)

    @property
    def exhausted(self) -> bool:
        """The budget refused a sample of any part, or its time is over."""
        return self._session.exhausted

    def sample(self, prefix: Prefix, paths: Sequence[NodePath], sampling: Sampling) -> Samples:
        """Draw samples in this part's place of the budget's order."""
        return self._session.sample_in(self._lane, prefix, paths, sampling)
