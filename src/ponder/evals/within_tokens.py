"""Independent samples for the generated tokens that another run spent, problem by problem.

A stored pool is cut as a run with the study's `equal_tokens` would have drawn it: one sample after
the other until the problem's tokens are used up, and the one that is cut short has no vote.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Final, NamedTuple, TypedDict

import numpy as np

from ponder.budget import MINIMUM_GRANT
from ponder.errors import UsageError
from ponder.evals import curves
from ponder.evals.compare import Method
from ponder.evals.cost_curves import Named
from ponder.evals.graded import GradedProblem
from ponder.evals.measure import Measured
from ponder.store.reading import RunReader
from ponder.types import Example

ORDERS: Final = 200
"""Random orders of a problem's samples: what is found is the mean over them."""


class Reference(NamedTuple):
    """The run that the others are brought to."""

    name: str
    spent: Mapping[str, int]
    """Generated tokens by problem id."""
    examples: Mapping[str, Example] = MappingProxyType({})
    """Its problems by id."""

    @classmethod
    def of(cls, folder: Path) -> Reference:
        """The run in `folder`. Raises UsageError where a problem's tokens are not told."""
        spent = tokens_spent(folder)
        told = {problem: tokens for problem, tokens in spent.items() if tokens is not None}
        if untold := [problem for problem in spent if problem not in told]:
            raise UsageError(f"{folder} does not tell what problem {untold[0]!r} spent")
        with RunReader(folder) as reader:
            examples = {example.problem.id: example for example in reader.examples()}
        return cls(str(folder), told, examples)


def tokens_spent(folder: Path) -> dict[str, int | None]:
    """Generated tokens of each finished problem of the run in `folder`; None: not told."""
    with RunReader(folder) as reader:
        return {trace.problem_id: trace.spent.generated for trace in reader.traces()}


class SpentRow(TypedDict):
    """What one method comes to, on the problems of the reference."""

    name: str
    selector: str
    samples: float | None
    """Mean of a problem, whole ones; None: it is a search and spent what it spent."""
    tokens: float | None
    """Mean of a problem, with the sample that was cut short; None: not told."""
    used_up: int
    """Problems whose samples, all together, were fewer tokens than there were to spend."""


class WithinTokens(TypedDict):
    """What each method spent beside the reference."""

    reference: str
    tokens: float
    """Its mean of a problem."""
    methods: list[SpentRow]


@dataclass(frozen=True, slots=True)
class Bought:
    """What one problem's samples come to, as a mean over orders."""

    accuracy: float
    samples: float
    tokens: float
    used_up: bool


def brought(named: Named, reference: Reference) -> tuple[Method, SpentRow]:
    """A method on the reference's problems, its independent samples cut to the reference's tokens.

    A search stays as it is. Raises UsageError for samples whose tokens are not told, for a selector
    that they do not allow, for problems of which only some are of independent samples, and where
    there is no problem in common.
    """
    if not _independent(named):
        return _as_it_is(named, reference)
    found = [_bought(named, run, reference.spent) for run in named.runs]
    common = [name for name in found[0] if all(name in own for own in found)]
    if not common:
        raise UsageError(f"{named.name} and {reference.name} have no problem in common")
    several = {name: [own[name] for own in found] for name in common}
    values = {name: fmean(own.accuracy for own in bought) for name, bought in several.items()}
    flat = [own for bought in several.values() for own in bought]
    samples = fmean(own.samples for own in flat)
    row: SpentRow = {
        "name": named.name,
        "selector": named.selector,
        "samples": samples,
        "tokens": fmean(own.tokens for own in flat),
        "used_up": sum(any(own.used_up for own in bought) for bought in several.values()),
    }
    return Method(named.name, named.selector, samples, len(named.runs), values, None), row


def _independent(named: Named) -> bool:
    problems = [problem for run in named.runs for problem in run.problems if problem.candidates]
    searched = [problem for problem in problems if not problem.exchangeable]
    if searched and len(searched) < len(problems):
        raise UsageError(
            f"{named.name}: problem {searched[0].id!r} is not of independent samples (a search, or "
            "stopped early), others are: compare runs of one kind at equal tokens"
        )
    return not searched


def _as_it_is(named: Named, reference: Reference) -> tuple[Method, SpentRow]:
    method = Method.of(named.name, named.selector, named.runs)
    values = {name: own for name, own in method.values.items() if name in reference.spent}
    if not values:
        raise UsageError(f"{named.name} and {reference.name} have no problem in common")
    spent = [p.spent for run in named.runs for p in run.problems if p.id in values]
    told = [own for own in spent if own is not None]
    row: SpentRow = {
        "name": named.name,
        "selector": named.selector,
        "samples": None,
        "tokens": fmean(told) if len(told) == len(spent) else None,
        "used_up": 0,
    }
    return replace(method, values=values), row


def _bought(named: Named, run: Measured, spent: Mapping[str, int]) -> dict[str, Bought]:
    if named.selector not in run.points:
        run.at(named.selector)  # raises, with what there is
    return {p.id: bought(p, named.selector, spent[p.id]) for p in run.problems if p.id in spent}


def bought(problem: GradedProblem, selector: str, tokens: int) -> Bought:
    """What `selector` gets right on the samples that `tokens` pay for; means over random orders.

    Raises UsageError where a sample's tokens are not told.
    """
    costs = [candidate.tokens for candidate in problem.candidates]
    told = [cost for cost in costs if cost is not None]
    if len(told) < len(costs):
        raise UsageError(f"a sample of problem {problem.id!r} does not tell its tokens")
    drawn = [_drawn(order, told, tokens) for order in _orders(problem.id, len(told))]
    right = [_right(problem, selector, kept) for kept, _ in drawn]
    return Bought(
        accuracy=fmean(right),
        samples=fmean(len(kept) for kept, _ in drawn),
        tokens=fmean(used for _, used in drawn),
        used_up=all(len(kept) == len(told) for kept, _ in drawn),
    )


def _orders(problem_id: str, count: int) -> Iterable[Sequence[int]]:
    """Orders of `count` samples, the same for each selector and score."""
    generator = np.random.default_rng(zlib.crc32(problem_id.encode()))
    return (generator.permutation(count).tolist() for _ in range(ORDERS))


def _drawn(order: Sequence[int], costs: Sequence[int], tokens: int) -> tuple[list[int], int]:
    """The samples that end within the tokens, and the tokens used, as a budget grants them."""
    kept: list[int] = []
    used = 0
    for place in order:
        left = tokens - used
        if left < MINIMUM_GRANT:
            break
        used += min(costs[place], left)
        if costs[place] > left:
            break
        kept.append(place)
    return kept, used


def _right(problem: GradedProblem, selector: str, kept: Sequence[int]) -> float:
    own = replace(problem, candidates=tuple(problem.candidates[place] for place in kept))
    return curves.selected([own], selector)[problem.id].value


def spent_beside(reference: Reference, rows: Sequence[SpentRow]) -> WithinTokens:
    """What to print beside the accuracies."""
    return {
        "reference": reference.name,
        "tokens": fmean(reference.spent.values()),
        "methods": list(rows),
    }
