"""Self-refinement: answer, feedback, refinement, in chains."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import ClassVar

from ponder.errors import UsageError
from ponder.prompts import load_prompt
from ponder.search.selection import Aggregation
from ponder.session.base import Finish, Session
from ponder.strategies.base import Most
from ponder.strategies.knobs import at_least_one
from ponder.trace import Decision, Trace
from ponder.types import (
    Message,
    NodePath,
    Prefix,
    Problem,
    Sample,
    Sampling,
    ScoreFailure,
    StepScores,
)


@dataclass(frozen=True, slots=True)
class SelfRefine:
    """n chains of answer, feedback by the same model, and refinement (Madaan et al. 2023).

    A refinement sees all earlier outputs and feedback of its chain. A chain ends when the feedback
    accepts, or after `rounds` refinements: at most 1 + 2 * rounds generations. With `guided`, the
    verifier gives the feedback instead of the model: the first step with a score below `threshold`
    is named as doubtful, and the refinement goes on from the steps before it.

    All rounds' solutions are candidates; the last of each chain votes. Of a chain `i`, the first
    answer's path is (i,), and each feedback and each refinement adds a 0.
    """

    name: ClassVar[str] = "self_refine"
    exchangeable: ClassVar[bool] = False

    n: int = 1
    """Chains; at least 1."""
    rounds: int = 2
    """Refinements of a chain; at least 0."""
    guided: bool = False
    """The verifier names the doubtful step."""
    threshold: float = 0.5
    """A step with a lower score is doubtful."""
    accepts: str = "the solution is correct"
    """Feedback that holds these words, in any case, accepts."""
    feedback_prompt: str = "feedback"
    """Name or path of the prompt that asks for feedback."""
    refine_prompt: str = "refine"
    """Name or path of the prompt that asks for a refinement."""
    sampling: Sampling = Sampling()
    """How answers, feedback and refinements are drawn; its separator is not used."""
    selector: str = "majority"
    aggregation: Aggregation = "last"

    def __post_init__(self) -> None:
        at_least_one(self, "n")
        if self.rounds < 0:
            raise UsageError(f"`rounds` must be at least 0, got {self.rounds}")

    @property
    def at_most(self) -> Most:
        """Every chain with all its rounds."""
        each = self.n * (1 + 2 * self.rounds)
        return Most(each, each * self.sampling.max_tokens)

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Run the chains side by side."""
        parts = session.fork(self.n, 1, self.sampling)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._chain(problem, part, index))
                for index, part in enumerate(parts)
            ]
        chains = [task.result() for task in tasks]
        return await session.finish(
            Finish(
                self.name,
                self.n,
                [solution for chain in chains for solution in chain],
                self.selector,
                self.aggregation,
                {solution.path for chain in chains for solution in _replaced(chain)},
            )
        )

    async def _chain(
        self, problem: Problem, part: AbstractContextManager[Session], index: int
    ) -> list[Sample]:
        """The solutions of one chain, first to last."""
        with part as session:
            answer = await self._draw(session, Prefix.root(problem), (index,))
            solutions: list[Sample] = []
            while answer is not None:
                solutions.append(answer)
                scores = await self._scores(session, answer)
                if answer.cut or len(solutions) > self.rounds:
                    break
                answer = await self._revise(session, answer, scores)
            return solutions

    async def _scores(self, session: Session, answer: Sample) -> StepScores | ScoreFailure | None:
        """The verifier's of an answer; None where there is no verifier and none is needed."""
        if not session.verifiers and not self.guided:
            return None
        (scores,) = await session.score([answer.prefix])
        return scores

    async def _revise(
        self, session: Session, answer: Sample, scores: StepScores | ScoreFailure | None
    ) -> Sample | None:
        """The next solution of the chain; None when this one is accepted or the budget is over."""
        if self.guided:
            assert scores is not None
            return await self._revise_guided(session, answer, scores)
        asked = _said(answer, _turn(self.feedback_prompt, answer.prefix.problem))
        feedback = await self._draw(
            session, Prefix.root(answer.prefix.problem, asked), (*answer.path, 0)
        )
        if feedback is None or feedback.cut:
            return None
        if self.accepts.lower() in feedback.prefix.text.lower():
            session.record(Decision("accepted", (answer.path,), "the feedback accepts"))
            return None
        session.record(Decision("note", (answer.path,), "the feedback asks for a refinement"))
        turns = _said(feedback, _turn(self.refine_prompt, answer.prefix.problem))
        return await self._draw(
            session, Prefix.root(answer.prefix.problem, turns), (*feedback.path, 0)
        )

    async def _revise_guided(
        self, session: Session, answer: Sample, scores: StepScores | ScoreFailure
    ) -> Sample | None:
        """A solution that goes on from before the first doubtful step."""
        if not isinstance(scores, StepScores):
            session.record(Decision("unscored", (answer.path,), scores.reason))
            return None
        doubtful = [i for i, score in enumerate(scores.scores) if score < self.threshold]
        if not doubtful:
            reason = f"no step scores below {self.threshold:g}"
            session.record(Decision("accepted", (answer.path,), reason))
            return None
        first = doubtful[0]
        reason = f"step {first + 1} scores {scores.scores[first]:.3g}, below {self.threshold:g}"
        session.record(Decision("note", (answer.path,), f"{reason}: tried again from there"))
        prefix = Prefix.root(answer.prefix.problem, answer.prefix.messages)
        for step in answer.prefix.steps[:first]:
            prefix = prefix.grow(step)
        return await self._draw(session, prefix, (*answer.path, 0))

    async def _draw(self, session: Session, prefix: Prefix, path: NodePath) -> Sample | None:
        """One sample; None if it failed or the budget refused it."""
        used = sum(len(step.token_ids or ()) for step in prefix.steps)
        left = max(self.sampling.max_tokens - used, 1)
        sampling = replace(self.sampling.whole(), max_tokens=left)
        async for sample in session.sample(prefix, [path], sampling):
            if not sample.failed:
                return sample
        return None


def _replaced(chain: Sequence[Sample]) -> Sequence[Sample]:
    """What a later solution of the chain replaces: one that the budget cut replaces nothing."""
    return [solution for solution in chain if not solution.cut][:-1]


def _said(sample: Sample, next_turn: Message) -> Sequence[Message]:
    """The conversation with what the model said last, and the next turn."""
    return (
        *sample.prefix.messages,
        Message("assistant", sample.prefix.text.strip()),
        next_turn,
    )


def _turn(prompt: str, problem: Problem) -> Message:
    return load_prompt(prompt).render(problem.question)[-1]
