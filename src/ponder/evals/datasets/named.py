"""Published data sets by name: one table says where they are and how they are read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class HubSet:
    """A data set on the hub."""

    hub: str
    """Owner and name."""
    configuration: str | None = None
    """None: its only one."""
    split: str = "test"
    answer: str | None = None
    """The answer kind; None: by what its rows hold."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Ours to the data set's, as in a recipe's `map`."""
    shuffled: bool = False
    """Choices come in an order drawn from the problem's id."""
    gated: bool = False
    """The hub asks for consent to its terms."""


@cache
def named_sets() -> Mapping[str, HubSet]:
    """The data sets that are known by name."""
    table = tomllib.loads((files("ponder.evals.datasets") / "named.toml").read_text("utf-8"))
    return MappingProxyType({name: HubSet(**entry) for name, entry in table.items()})


def hub_set(dataset: str) -> HubSet | None:
    """The data set that NAME, or a hub's OWNER/NAME, names; None if it names none.

    NAME is free in case and hyphens: MATH-500 is math500. A configuration and a split may follow,
    after a colon each: "openai/gsm8k:main:train", "gsm8k::train".
    """
    name, configuration, split = [*dataset.split(":"), "", ""][:3]
    known = _known(name)
    if known is None:
        if dataset.count(":") > 2 or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            return None
        known = HubSet(name)
    return replace(
        known,
        configuration=configuration or known.configuration,
        split=split or known.split,
    )


def _known(name: str) -> HubSet | None:
    """The entry of the table, by its name or by the hub's."""
    plain = re.sub(r"[-_ ]", "", name).casefold()
    by_hub = {entry.hub: entry for entry in named_sets().values()}
    return named_sets().get(plain) or by_hub.get(name)
