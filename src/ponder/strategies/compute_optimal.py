"""The compute-optimal strategy: the one that was best at this budget for problems this hard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ponder.errors import UsageError
from ponder.search.policy import Choice, Policy
from ponder.search.selection import Aggregation
from ponder.session.base import Session
from ponder.strategies.ballots import ballot_of
from ponder.strategies.base import Most
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.continued import Begun, Continued
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.knobs import at_least_one
from ponder.strategies.policy_file import load_policy
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Decision, Trace
from ponder.types import Prefix, Problem, Sampling

CHOOSABLE: Mapping[str, type[Any]] = {
    kind.name: kind for kind in (RepeatedSampling, BeamSearch, DiverseVerifierTreeSearch)
}
"""Strategies that a policy may choose: those that take up where other samples are there already."""


@dataclass(frozen=True)
class ComputeOptimal:
    """Spends n where a fitted policy says (Snell et al. 2024, section 3).

    The policy's first samples, whole solutions, predict how hard the problem is; what is left of
    the n goes to the strategy that was best for such problems. The first samples are candidates
    like any other and count in everything that is spent.
    """

    name: ClassVar[str] = "compute_optimal"
    exchangeable: ClassVar[bool] = False

    policy: str = ""
    """The file that `ponder fit` wrote."""
    n: int = 8
    """In all, the first samples included; one that the policy was fitted for."""
    sampling: Sampling = Sampling(separator="\n\n")
    aggregation: Aggregation | None = None
    """That of the policy; a recipe that names another one is refused."""

    def __post_init__(self) -> None:
        at_least_one(self, "n")
        if not self.policy:
            raise UsageError(
                "compute_optimal needs the knob `policy`: a file that `ponder fit` wrote"
            )
        self.table.choose(self.n, ())
        if self.aggregation not in (None, self.table.aggregation):
            raise UsageError(
                f"the policy {self.policy} ranks by the {self.table.aggregation} of the step "
                f"scores, not by the {self.aggregation}: set `aggregation` to it, or fit anew from "
                f"runs with {self.aggregation}"
            )
        for choice in self.table.choices[self.n]:
            self._strategy(choice, self.n - self.table.samples)

    @cached_property
    def table(self) -> Policy:
        """What the file says."""
        return load_policy(Path(self.policy))

    @property
    def selector(self) -> str:
        """Each choice has its own; this says whether scores are needed."""
        return "weighted" if self.table.scored else "majority"

    @property
    def at_most(self) -> Most:
        """The first samples, and the most of what may be chosen."""
        first, rest = self.table.samples, self.n - self.table.samples
        chosen = [self._strategy(choice, rest).at_most for choice in self.table.choices[self.n]]
        return Most(
            first + max(most.generations for most in chosen),
            first * self.sampling.max_tokens + max(most.generated_tokens for most in chosen),
        )

    async def solve(self, problem: Problem, session: Session) -> Trace:
        """Look at a few samples, then search."""
        paths = [(index,) for index in range(self.table.samples)]
        stream = session.sample(Prefix.root(problem), paths, self.sampling.whole())
        drawn = sorted([sample async for sample in stream], key=lambda sample: sample.path)
        async with asyncio.TaskGroup() as group:
            how = self.table.aggregation
            votes = [group.create_task(ballot_of(session, sample, how)) for sample in drawn]
        level, value, choice = self.table.choose(self.n, [vote.result() for vote in votes])
        rest = self.n - self.table.samples
        known = "unknown" if value is None else f"{value:.3g}"
        what = "a mean score" if self.table.measure == "score" else "an agreement"
        reason = f"level {level} by {what} of {known}: {choice.shown}, with {rest} left"
        session.record(Decision("note", tuple(sample.path for sample in drawn), reason))
        strategy = self._strategy(choice, rest)
        first = [sample for sample in drawn if not sample.failed]
        begun = Begun(self.name, self.n, self.table.samples, first)
        return await strategy.solve(problem, Continued(session, begun))  # type: ignore[no-any-return]

    def _strategy(self, choice: Choice, rest: int) -> Any:
        """The chosen strategy with what is left; raises UsageError for one that cannot be."""
        kind = CHOOSABLE.get(choice.strategy)
        if kind is None:
            known = ", ".join(CHOOSABLE)
            raise UsageError(f"a policy may choose {known}, not {choice.strategy!r}")
        if choice.knobs.get("stopping", "none") != "none":
            raise UsageError("a policy cannot choose a stopping rule: `stopping` is not fitted")
        names = {field.name for field in fields(kind)}
        if unknown := [name for name in choice.knobs if name not in names]:
            raise UsageError(f"the policy's {choice.shown}: it has no knob {unknown[0]!r}")
        try:
            return kind(
                n=rest,
                sampling=self.sampling,
                selector=choice.selector,
                aggregation=self.table.aggregation,
                **dict[str, Any](choice.knobs),
            )
        except UsageError as error:
            spare = f"{rest} left after the first samples"
            raise UsageError(f"the policy's {choice.shown}, with {spare}: {error}") from None
