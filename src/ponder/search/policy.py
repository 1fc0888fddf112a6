"""What to spend a budget on, by a problem's difficulty: the table that `ponder fit` makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ponder.errors import UsageError
from ponder.search.difficulty import agreement, level_of, mean_score
from ponder.search.selection import Aggregation, Ballot

Measure = Literal["score", "agreement"]
"""What difficulty is predicted from: the verifier's mean score, or how far the answers agree."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy with its knobs and its selector, at one n."""

    strategy: str
    """A registered name."""
    n: int
    selector: str
    knobs: Mapping[str, bool | int | float | str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """In a line for a person: "beam_search, n = 16, beam_width = 4, weighted"."""
        return ", ".join([self.strategy, f"n = {self.n}", *self._settings])

    @property
    def without_n(self) -> str:
        """The same for every n: "beam_search, beam_width = 4, weighted"."""
        return ", ".join([self.strategy, *self._settings])

    @property
    def _settings(self) -> list[str]:
        return [*(f"{name} = {value}" for name, value in sorted(self.knobs.items())), self.selector]


def fitted_on(study: Mapping[str, Any]) -> dict[str, str | float]:
    """What difficulty depends on in a run's study: engine, model, prompt, temperature, verifier.

    What the study does not name is left out.
    """
    said = {name: study.get(name) for name in ("engine", "model", "prompt", "verifier")}
    said["temperature"] = (study.get("sampling") or {}).get("temperature")
    return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Policy:
    """For each n and level of difficulty, the best choice (Snell et al. 2024, section 3.1)."""

    samples: int
    """Drawn first, of the n: what they say predicts the level."""
    measure: Measure
    aggregation: Aggregation
    """How step scores become the score of a solution."""
    edges: tuple[float, ...]
    """The lowest value of each level but the last, easiest first."""
    choices: Mapping[int, tuple[Choice, ...]]
    """By n, one a level, easiest first."""
    fitted: Mapping[str, str | float] = field(default_factory=dict)
    """What drew and scored the samples that the edges come from, see `fitted_on`."""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"a policy's `samples` must be at least 1, got {self.samples}")
        if any(low > high for high, low in zip(self.edges, self.edges[1:], strict=False)):
            raise UsageError(f"a policy's `edges` must fall, got {list(self.edges)}")
        for n, row in self.choices.items():
            if len(row) != len(self.edges) + 1:
                raise UsageError(
                    f"a policy with {len(self.edges)} edges needs {len(self.edges) + 1} choices "
                    f"for n = {n}, got {len(row)}"
                )
            if n <= self.samples:
                raise UsageError(
                    f"a policy that draws {self.samples} samples first has nothing to choose at "
                    f"n = {n}"
                )

    @property
    def scored(self) -> bool:
        """It needs a verifier: to predict, or for a selector or a search that it may choose."""
        chosen = (choice for row in self.choices.values() for choice in row)
        return self.measure == "score" or any(
            choice.selector != "majority" or choice.strategy != "sample" for choice in chosen
        )

    def value(self, votes: Sequence[Ballot]) -> float | None:
        """What difficulty is predicted from, of so many samples; higher is easier."""
        if self.measure == "score":
            return mean_score([vote.score for vote in votes])
        return agreement([vote.key for vote in votes])

    def choose(self, n: int, votes: Sequence[Ballot]) -> tuple[int, float | None, Choice]:
        """The level, the value that says so, and the choice, from the first samples.

        Raises UsageError for an n that the policy was not fitted for.
        """
        if n not in self.choices:
            known = ", ".join(str(size) for size in sorted(self.choices))
            raise UsageError(f"the policy has choices for n = {known}, not for {n}: fit it anew")
        value = self.value(votes)
        level = level_of(value, self.edges)
        return level, value, self.choices[n][level - 1]
