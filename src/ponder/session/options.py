"""What a session is told besides its parts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ponder.budget import Budget
from ponder.search.steps import DEFAULT_SEPARATOR


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Knobs of one problem's session."""

    seed: int = 0
    """The run's seed."""
    budget: Budget = field(default_factory=Budget)
    separator: str = DEFAULT_SEPARATOR
    """Splits whole solutions into the steps that verifiers score."""
    failures_from_log: bool = False
    """A replay answers recorded failures too; a resumed run tries them again."""
    share: bool = True
    """Equal prefixes are scored once, and drawn from in one call; off, to measure what it saves.
    The engine then keeps no rendered conversation either: see `Host.openings_kept`."""
    early: bool = True
    """Prefixes are scored before their siblings have ended, while the engine has slots to spare;
    only with `share`."""
    rank: int = 0
    """The problem's number: lower ranks are served first."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
