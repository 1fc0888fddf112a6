"""Partial solutions, as the step-wise strategies grow and score them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from ponder.search.selection import Aggregation, aggregate
from ponder.session.base import Session
from ponder.types import NodePath, Prefix, Problem, Sample, Sampling, StepScores


@dataclass(frozen=True, slots=True)
class Branch:
    """A partial solution: where it stands, and what it may still become."""

    prefix: Prefix
    path: NodePath
    left: int
    """Tokens left for the solution."""
    sample: Sample | None = None
    """The last one; None at the root."""
    score: float | None = None
    """The verifier's; None when there is none."""

    @classmethod
    def root(cls, problem: Problem, sampling: Sampling) -> Branch:
        """The branch without any step."""
        return cls(Prefix.root(problem), (), sampling.max_tokens)

    @property
    def finished(self) -> bool:
        """Complete: end of text, its length, or an empty step."""
        return self.sample is not None and (self.sample.finished or self.left < 1)

    @property
    def shown(self) -> str:
        """Its score for a person."""
        return "unscored" if self.score is None else f"score {self.score:.3g}"

    def scored(self, score: float) -> Branch:
        """The same with its score."""
        return Branch(self.prefix, self.path, self.left, self.sample, score)

    def children(
        self, session: Session, sampling: Sampling, count: int, first: int = 0
    ) -> AsyncIterator[Sample]:
        """Draw `count` next samples, numbered from `first` on."""
        paths = [(*self.path, index) for index in range(first, first + count)]
        return session.sample(self.prefix, paths, replace(sampling, max_tokens=self.left))


async def grow(
    session: Session, parents: Sequence[Branch], streams: Iterable[AsyncIterator[Sample]]
) -> list[Branch]:
    """The branches that all samples of the parents' streams make, in path order.

    Streams are read side by side, and all will be scored; failed samples are left out.
    """
    grown: list[Branch] = []

    async def read(parent: Branch, stream: AsyncIterator[Sample]) -> None:
        async for sample in stream:
            if not sample.failed:
                left = parent.left - (sample.completion.usage.generated or 0)
                grown.append(Branch(sample.prefix, sample.path, left, sample))
                session.will_score(sample.prefix)

    reads = [read(parent, stream) for parent, stream in zip(parents, streams, strict=True)]
    if len(reads) == 1:  # each step of a subtree: needs no task
        await reads[0]
    else:
        async with asyncio.TaskGroup() as group:
            for each in reads:
                group.create_task(each)
    return sorted(grown, key=lambda branch: (len(branch.path), branch.path))


async def scored(
    session: Session, branches: Sequence[Branch], aggregation: Aggregation
) -> list[Branch]:
    """The branches with the first verifier's scores of their whole prefixes."""
    if not branches:
        return []
    answers = await session.score([branch.prefix for branch in branches])
    return [
        branch.scored(aggregate(answer.scores, aggregation))
        if isinstance(answer, StepScores) and answer.scores
        else branch
        for branch, answer in zip(branches, answers, strict=True)
    ]
