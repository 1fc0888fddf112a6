"""Where a whole run stops spending."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ponder.errors import UsageError
from ponder.evals.costs import money, total_tokens
from ponder.evals.expected_spending import Bill, ExpectedSpending, Kind
from ponder.evals.problem_cost import ProblemCost
from ponder.recipes.costing import Prices
from ponder.runner import Job, RunObserver
from ponder.trace import Decision, Node, Trace
from ponder.types import NodePath


@dataclass(slots=True)
class SpendingLimit:
    """Counts what a run spends, and sets `stop` when that is too much: a gate of `run`.

    A problem is opened only if what is spent, what the open ones are expected to take and what it
    is expected to take itself stay within the limit; the first of its kind, of which nothing is
    known, alone. Open problems are finished and count, so a limit is passed by at most what they
    take beyond what was expected. Raises UsageError for a limit that is not over 0, or one of money
    without prices.
    """

    tokens: int | None = None
    """All tokens of the run with the verifiers' and the wasted ones; None: no limit."""
    money: float | None = None
    """In the currency of `prices`."""
    prices: Prices = field(default_factory=Prices)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    spent_tokens: float = 0.0
    """By finished problems."""
    spent_money: float = 0.0
    open_tokens: int = 0
    """Drawn so far in problems that are not finished."""
    untold: bool = False
    """A problem does not tell what is limited."""
    refused: str | None = None
    """Why the next problem was not opened; None: none was refused."""
    expected: ExpectedSpending = field(default_factory=ExpectedSpending)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """An open problem is finished."""

    def __post_init__(self) -> None:
        for name, limit in (("--max-tokens-total", self.tokens), ("--max-cost", self.money)):
            if limit is not None and not limit > 0:
                raise UsageError(f"`{name}` must be over 0, got {limit:g}")
        if self.money is not None and not self.prices.given:
            raise UsageError(
                "`--max-cost` needs prices for a million tokens: `--price generated=0.6`, or "
                "`prices` in [host]"
            )

    def count(self, trace: Trace) -> Bill:
        """One more problem is finished, now or in an earlier run."""
        cost = ProblemCost.of(trace)
        tokens, paid = total_tokens(cost), money(cost, self.prices)
        self.untold |= self.tokens is not None and tokens is None
        self.untold |= self.money is not None and paid is None
        bill = Bill((tokens or 0.0) + (cost.wasted or 0.0), paid or 0.0)
        self.spent_tokens += bill.tokens
        self.spent_money += bill.money
        self.expected.finished.setdefault(Kind(trace.strategy, trace.n), []).append(bill)
        self.check()
        return bill

    async def admitted(self, job: Job) -> None:
        """Wait until the problem fits beside the open ones; set `stop` if it never will."""
        if self.tokens is None and self.money is None:
            return
        kind = _kind(job)
        while (excess := self._excess(kind)) and self.expected.open.total():
            if self.stop.is_set():
                return
            self.ended.clear()
            await self.ended.wait()
        if excess and kind in self.expected.finished:
            self.refused = self.reached or excess
            self.stop.set()
        else:
            self.expected.open[kind] += 1

    def _excess(self, kind: Kind) -> str | None:
        """What passes the limit if one more problem of the kind is opened, in a line."""
        one, open_ = self.expected.of(kind), self.expected.of_open()
        tokens = self.spent_tokens + max(open_.tokens, self.open_tokens)
        if self.tokens is not None and tokens + one.tokens > self.tokens:
            return (
                f"{tokens:.0f} tokens are spent, another problem takes about {one.tokens:.0f}, the "
                f"limit is {self.tokens}"
            )
        paid = self.spent_money + max(open_.money, self._open_money)
        if self.money is not None and paid + one.money > self.money:
            return (
                f"{paid:.4g} is spent, another problem costs about {one.money:.4g}, the limit is "
                f"{self.money:g}"
            )
        return None

    @property
    def _open_money(self) -> float:
        """Of what is drawn so far in problems that are not finished."""
        return self.open_tokens * self.prices.generated / 1e6

    def withdraw(self, bill: Bill) -> None:
        """A problem is solved again with more samples: its new trace counts them all."""
        self.spent_tokens -= bill.tokens
        self.spent_money -= bill.money

    def finished(self, job: Job) -> None:
        """An open problem is finished, and counted."""
        self.expected.open -= Counter([_kind(job)])
        self.ended.set()

    def check(self) -> None:
        """Set `stop` if a limit is reached."""
        if self.reached is not None:
            self.stop.set()

    @property
    def reached(self) -> str | None:
        """Why the run stops, in a line; None while it goes on."""
        if self.untold:
            return "the limit cannot be kept: the engine or the verifier does not tell its tokens"
        tokens = self.spent_tokens + self.open_tokens
        if self.tokens is not None and tokens >= self.tokens:
            return f"{tokens:.0f} tokens are spent, the limit is {self.tokens}"
        paid = self.spent_money + self._open_money
        if self.money is not None and paid >= self.money:
            return f"{paid:.4g} is spent, the limit is {self.money:g}"
        return self.refused

    def watching(self, inner: RunObserver, finished: Iterable[Trace]) -> RunObserver:
        """An observer that counts, beside `inner`; what is `finished` already counts first."""
        return _Counted(self, inner, {trace.problem_id: self.count(trace) for trace in finished})


def _kind(job: Job) -> Kind:
    return Kind(job.method.strategy.name, job.method.strategy.n)


@dataclass(frozen=True, slots=True)
class _Counted:
    limit: SpendingLimit
    inner: RunObserver
    earlier: dict[str, Bill]
    """Of problems that were finished before."""
    drawn: dict[str, dict[NodePath, int]] = field(default_factory=dict)
    """Tokens of the samples of each open problem."""

    def on_node(self, problem_id: str, node: Node) -> None:
        """Count a sample, once."""
        own = self.drawn.setdefault(problem_id, {})
        self.limit.open_tokens += (node.tokens or 0) - own.get(node.path, 0)
        own[node.path] = node.tokens or 0
        self.limit.check()
        self.inner.on_node(problem_id, node)

    def on_decision(self, problem_id: str, decision: Decision) -> None:
        """Costs nothing."""
        self.inner.on_decision(problem_id, decision)

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:
        """Count the whole problem in the place of its samples."""
        self.limit.open_tokens -= sum(self.drawn.pop(problem_id, {}).values())
        if problem_id in self.earlier:
            self.limit.withdraw(self.earlier[problem_id])
        self.limit.count(trace)
        self.inner.on_problem_done(problem_id, trace)
