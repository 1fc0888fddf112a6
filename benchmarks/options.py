"""What a person may choose on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = Literal["small", "full"]


@dataclass(frozen=True, slots=True)
class Options:
    """How large, how often, and with what."""

    size: Size = "full"
    """`small` shows in seconds that everything works; its figures say nothing."""
    repeats: int = 3
    """How often each measurement is taken; at least 1."""
    first: int = 0
    """The first repeat's number: each has seeds of its own."""
    problems: int | None = None
    """Of each run of an engine; None is the item's own number."""
    engine: str = "embedded"
    """An engine of a recipe."""
    model: str | None = None
    """None is the engine's own default."""
    verifier: str = "arithmetic"
    """A verifier of a recipe."""
    slots: int = 64
    """Sequences that the engine runs at once; 4 at the small size."""
    set: tuple[str, ...] = ()
    """Other keys of the run's recipe: `host.vllm.cache_gb=2`."""
    pool: str | None = None
    """A graded run whose samples stopping rules look at; None: simulated ones."""
    score: str | None = None
    """The name of the pool's scores; None: its own."""
    label: str | None = None
    """Keeps the results beside those without it: of an older version, say."""

    def __post_init__(self) -> None:
        if self.small:
            object.__setattr__(self, "slots", min(self.slots, 4))

    @property
    def turns(self) -> range:
        """The numbers of the repeats."""
        return range(self.first, self.first + self.repeats)

    @property
    def small(self) -> bool:
        """Only to see that it works."""
        return self.size == "small"
