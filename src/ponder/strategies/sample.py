"""Independent samples: what greedy decoding, majority, best of N and weighted voting draw on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from ponder.search.selection import Aggregation
from ponder.session.base import Finish, Session
from ponder.strategies.knobs import at_least_one
from ponder.trace import Trace
from ponder.types import Prefix, Problem, Sample, Sampling


@dataclass(frozen=True, slots=True)
class RepeatedSampling:
    """n independent solutions, each scored as it ends (Brown et al. 2024, section 2)."""

    name: ClassVar[str] = "sample"
    exchangeable: ClassVar[bool] = True

    n: int = 4
    """Solutions; at least 1."""
    sampling: Sampling = Sampling()
    """How each is drawn; its separator is not used."""
    selector: str = "majority"
    aggregation: Aggregation = "last"
    """How step scores become one, for selectors that need a score."""

    def __post_init__(self) -> None:
        at_least_one(self, "n")

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Draw, score as they end, choose."""
        paths = [(index,) for index in range(self.n)]
        solutions: list[Sample] = []
        async with asyncio.TaskGroup() as scoring:
            async for sample in session.sample(Prefix.root(problem), paths, self.sampling.whole()):
                if sample.failed:
                    continue
                solutions.append(sample)
                if session.verifiers:
                    scoring.create_task(session.score([sample.prefix]))
        return await session.finish(
            Finish(self.name, self.n, solutions, self.selector, self.aggregation)
        )
