"""What a run will take: at most, before anything runs, and from a few problems, about how much."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev, variance
from typing import Literal, NamedTuple, TypedDict

from ponder.budget import Budget
from ponder.evals.costs import Axis, Costing, cost_on
from ponder.evals.problem_cost import ProblemCost
from ponder.strategies.base import Most, Strategy
from ponder.trace import Trace

PILOT = 8
"""Problems of a pilot: they are part of the run."""

NO_BUDGET = Budget()

LEVEL = 0.9
"""Of the intervals."""

ESTIMATED: tuple[Axis, ...] = (
    "generations",
    "generated_tokens",
    "total_tokens",
    "flops",
    "money",
)


class Forecast(TypedDict):
    """What a whole run takes, with its 90 % interval."""

    total: float
    low: float
    high: float


class Outlook(TypedDict):
    """What `ponder run --plan` prints."""

    schema: Literal[1]
    run: str
    n_problems: int
    known: int
    """Problems that the estimate is made from."""
    at_most: dict[str, int] | None
    """Generations and generated tokens; None for a strategy that does not tell."""
    estimate: dict[str, Forecast]
    """By axis, and `hours`; what is not told is left out."""


class Pace(NamedTuple):
    """How fast a run went."""

    generated: float
    """Tokens."""
    seconds: float


def pilot_of(problems: Sequence[str], seed: int, count: int = PILOT) -> frozenset[str]:
    """The ids of `count` problems, chosen by a hash: data sets are often sorted by difficulty."""
    mixed = sorted(problems, key=lambda p: hashlib.sha256(repr((seed, p)).encode()).digest())
    return frozenset(mixed[:count])


def at_most(strategy: Strategy, problems: int, budget: Budget = NO_BUDGET) -> Most | None:
    """The bound of a whole run; None for a strategy that does not tell."""
    one: Most | None = getattr(strategy, "at_most", None)
    if one is None:
        return None
    generations = min(one.generations, budget.generations or one.generations)
    tokens = min(one.generated_tokens, budget.generated_tokens or one.generated_tokens)
    return Most(generations * problems, tokens * problems)


def forecast(known: Sequence[float], rest: int, done: float = 0.0) -> Forecast | None:
    """`done`, and `rest` further problems like the `known` ones; None for fewer than two of these.

    The known problems are a random part of all. The interval is the wider one of Student's for the
    mean of the rest, and of Cox's for a lognormal mean (Zhou and Gao 1997), which holds better
    where a few problems take far more than the others.
    """
    if len(known) < 2:
        return None
    mean, spread = fmean(known), variance(known)
    if not rest or not spread:
        return {"total": done + rest * mean, "low": done + rest * mean, "high": done + rest * mean}
    student = _student(len(known))
    half = student * math.sqrt(spread * (1 / len(known) + 1 / rest))
    low, high = mean - half, mean + half
    if min(known) > 0:
        lowest, highest = _cox(known, student, spread / mean**2 / rest)
        low, high = min(low, lowest), max(high, highest)
    return {
        "total": done + rest * mean,
        "low": done + rest * max(low, 0.0),
        "high": done + rest * high,
    }


def _student(count: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, (1 + LEVEL) / 2))


def _cox(known: Sequence[float], student: float, extra: float) -> tuple[float, float]:
    """The interval of the mean of a lognormal; `extra` is the rest's own relative variance."""
    logs = [math.log(value) for value in known]
    square = stdev(logs) ** 2
    centre = fmean(logs) + square / 2
    error = math.sqrt(square / len(logs) + square**2 / (2 * (len(logs) - 1)) + extra)
    return math.exp(centre - student * error), math.exp(centre + student * error)


def outlook(
    run: str,
    problems: int,
    most: Most | None,
    *,
    known: Sequence[Trace],
    own: bool,
    costing: Costing,
    pace: Pace | None,
) -> Outlook:
    """The estimates of a run over `problems`, beside its bound.

    `known` are finished problems, its `own` or another run's; `pace` is how fast they went.
    """
    costs = [ProblemCost.of(trace) for trace in known]
    rest = problems - len(known) if own else problems
    found: dict[str, Forecast] = {}
    for axis in ESTIMATED:
        values = [cost_on(cost, axis, costing) for cost in costs]
        told = [value for value in values if value is not None]
        if len(told) == len(values):
            _keep(found, axis, forecast(told, rest, sum(told) if own else 0.0))
    if pace is not None and pace.generated and "generated_tokens" in found:
        tokens = found["generated_tokens"]
        scale = pace.seconds / pace.generated / 3600
        found["hours"] = {
            "total": tokens["total"] * scale,
            "low": tokens["low"] * scale,
            "high": tokens["high"] * scale,
        }
    return {
        "schema": 1,
        "run": run,
        "n_problems": problems,
        "known": len(known),
        "at_most": None if most is None else most._asdict(),
        "estimate": found,
    }


def _keep(found: dict[str, Forecast], axis: str, value: Forecast | None) -> None:
    if value is not None:
        found[axis] = value


def pace_of(provenance: Mapping[str, object], traces: Sequence[Trace]) -> Pace | None:
    """How fast a stored run went; None when it does not tell."""
    seconds = provenance.get(RUNNING)
    tokens = [trace.spent.generated for trace in traces]
    told = [count for count in tokens if count is not None]
    if not isinstance(seconds, int | float) or not told or len(told) < len(tokens):
        return None
    return Pace(sum(told), seconds)


RUNNING = "seconds_running"
"""In a run's provenance: how long problems were being solved, over all its starts."""
