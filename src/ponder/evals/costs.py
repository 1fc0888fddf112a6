"""What solving cost, on every axis: samples, tokens, floating-point operations, time, money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Literal, TypedDict, cast, get_args

from ponder.evals.model_sizes import SIZE, VERIFIER_SIZE, size_in
from ponder.evals.problem_cost import ProblemCost
from ponder.recipes.costing import NO_PRICES, NO_SIZE, ModelSize, Prices

Axis = Literal["generations", "generated_tokens", "total_tokens", "flops", "seconds", "money"]

AXES: tuple[Axis, ...] = get_args(Axis)


class Costs(TypedDict):
    """Means a problem; None where any problem does not tell."""

    generations: float | None
    generated_tokens: float | None
    total_tokens: float | None
    """Each node of the prefix tree once, prompts included, and the verifiers' tokens."""
    flops: float | None
    seconds: float | None
    """From a problem's opening to its end, while others ran beside it."""
    money: float | None


@dataclass(frozen=True, slots=True)
class Costing:
    """What is known of models and prices."""

    size: ModelSize = NO_SIZE
    verifier_size: ModelSize = NO_SIZE
    prices: Prices = NO_PRICES

    @classmethod
    def of(
        cls,
        study: Mapping[str, object],
        host: Mapping[str, object],
        provenance: Mapping[str, object],
        prices: Mapping[str, float],
    ) -> Costing:
        """As a run tells it, with `prices` in the place of those of `[host]`.

        A size that `[study]` gives goes before that of the weights.
        """
        known = cast("Mapping[str, float]", host.get("prices") or {})
        return cls(
            size_in(SIZE, study, provenance),
            size_in(VERIFIER_SIZE, study, provenance),
            Prices.model_validate({**known, **prices}),
        )


def total_tokens(cost: ProblemCost) -> float | None:
    """Prompts, generated and verifier tokens, each node of the prefix tree once."""
    parts = (cost.prompt, cost.generated, cost.verifier)
    told = [part for part in parts if part is not None]
    return sum(told) if len(told) == len(parts) else None


def flops(cost: ProblemCost, costing: Costing) -> float | None:
    """Forward passes as if every prefix were cached, of the model and of the verifier.

    2 x parameters a token, and where layers and width are known 4 x layers x width for each token
    that it looks back at (Kaplan et al. 2020, section 2.1: 2 for the scores, 2 for the values). A
    verifier's tokens look back as far on average as the model's do.
    """
    own = _prompted(cost.prompt, cost.generated)
    attended = _prompted(cost.prompt_attended, cost.attended)
    if own is None or cost.verifier is None:
        return None
    back = attended / own if attended is not None and own else None
    parts = (_passes(own, back, costing.size), _passes(cost.verifier, back, costing.verifier_size))
    return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]


def _prompted(prompt: float | None, generated: float | None) -> float | None:
    return None if prompt is None or generated is None else prompt + generated


def _passes(tokens: float, back: float | None, size: ModelSize) -> float | None:
    """Operations of `tokens` that each look back at `back` others on average."""
    if not tokens:
        return 0.0
    if size.parameters is None:
        return None
    attention = 0.0
    if size.layers is not None and size.width is not None and back is not None:
        attention = 4.0 * size.layers * size.width * back
    return tokens * (2.0 * size.parameters + attention)


def money(cost: ProblemCost, prices: Prices) -> float | None:
    """The bill at these prices; None without any, or where a priced kind of token is not told."""
    if not prices.given:
        return None
    cached = cost.cached or 0.0
    at_cache = prices.prompt if prices.cached is None else prices.cached
    fresh = None if cost.read is None else cost.read - cached
    drawn = None if cost.generated is None else cost.generated + (cost.wasted or 0.0)
    bill = 0.0
    for tokens, price in (
        (fresh, prices.prompt),
        (cached, at_cache),
        (drawn, prices.generated),
        (cost.verifier, prices.verifier),
    ):
        if price and tokens is None:
            return None
        bill += price * (tokens or 0.0) / 1e6
    return bill


_OF: Mapping[Axis, Callable[[ProblemCost, Costing], float | None]] = MappingProxyType(
    {
        "generations": lambda cost, _: cost.generations,
        "generated_tokens": lambda cost, _: cost.generated,
        "total_tokens": lambda cost, _: total_tokens(cost),
        "flops": flops,
        "seconds": lambda cost, _: cost.seconds,
        "money": lambda cost, costing: money(cost, costing.prices),
    }
)


def cost_on(cost: ProblemCost, axis: Axis, costing: Costing) -> float | None:
    """One problem's cost on one axis; None: not told."""
    return _OF[axis](cost, costing)


def mean_cost(costs: Sequence[ProblemCost], axis: Axis, costing: Costing) -> float | None:
    """A problem's cost on average; None where any problem does not tell, or there is none."""
    values = [cost_on(cost, axis, costing) for cost in costs]
    told = [value for value in values if value is not None]
    return fmean(told) if told and len(told) == len(values) else None


def mean_costs(costs: Sequence[ProblemCost], costing: Costing) -> Costs:
    """Every axis."""
    return cast("Costs", {axis: mean_cost(costs, axis, costing) for axis in AXES})
