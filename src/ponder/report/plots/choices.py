"""The map of compute-optimal choices: what a policy does at each level and n."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.report.view import SELECTOR_LABELS
from ponder.search.policy import Choice, Policy

NAME = "choices"


@dataclass(frozen=True, slots=True)
class ChoiceMap:
    """A cell a level and n."""

    sizes: tuple[int, ...]
    """The n, rising: one column each."""
    kinds: tuple[str, ...]
    """The different choices, as they are first met from the smallest n and the easiest level."""
    cells: tuple[tuple[int, ...], ...]
    """One row a level, easiest first; the place in `kinds` for each n."""


def choice_map(policy: Policy) -> ChoiceMap:
    """The policy as a table; equal choices but for their n are one kind."""
    sizes = tuple(sorted(policy.choices))
    columns = [[_kind(choice) for choice in policy.choices[n]] for n in sizes]
    kinds = tuple(dict.fromkeys(kind for column in columns for kind in column))
    rows = zip(*columns, strict=True)
    return ChoiceMap(sizes, kinds, tuple(tuple(map(kinds.index, row)) for row in rows))


def _kind(choice: Choice) -> str:
    """As in "beam_search, beam_width = 4, weighted": a choice at any n."""
    knobs = [f"{name} = {value}" for name, value in sorted(choice.knobs.items())]
    selector = SELECTOR_LABELS.get(choice.selector, choice.selector)
    return ", ".join([choice.strategy, *knobs, selector])
