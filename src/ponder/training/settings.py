"""What a head shall be, and what is told of one that was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from ponder.errors import UsageError
from ponder.training.held_out import HeldOut, Voting
from ponder.training.learning_rows import StepLabels
from ponder.training.split import Part
from ponder.verifiers.head_config import Features, Labels, Prompt

LEAST_FOLDS: Final = 3
"""One to be held out, one to validate, one to teach."""


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """What a head is, and how it is found. Raises UsageError for what cannot be."""

    features: Features = "last+mean"
    prompt: Prompt = "question"
    hidden: int = 0
    """Units of the hidden layer; 0 is a linear head."""
    seed: int = 0
    """Of the split, the folds, the network and the bootstrap."""
    labels: StepLabels | None = None
    """None: every step has its solution's outcome."""
    ends: float = 0.0
    """Share of a solution's weight that is its last step's, from 0 to 1; the rest is spread."""
    folds: int = 0
    """At least 3: so many heads, each judged by the fold of problems that it alone was not taught
    or stopped by, and averaged. 0: one head, judged by a fifth of the problems."""

    contrast: float = 0.0
    """Share of the loss that sets right against wrong samples of one problem, from 0 to below 1;
    for a linear head."""

    def __post_init__(self) -> None:
        if not 0 <= self.contrast < 1:
            raise UsageError(f"`contrast` must be from 0 to below 1, got {self.contrast:g}")
        if self.contrast and self.hidden:
            raise UsageError(
                f"`contrast` {self.contrast:g} is for a linear head, got `hidden` {self.hidden}"
            )
        if not 0 <= self.ends <= 1:
            raise UsageError(f"`ends` must be from 0 to 1, got {self.ends:g}")
        if self.hidden < 0:
            raise UsageError(f"`hidden` must be at least 0, got {self.hidden}")
        if self.folds and self.folds < LEAST_FOLDS:
            raise UsageError(f"`folds` must be 0, or at least {LEAST_FOLDS}, got {self.folds}")

    @property
    def supervision(self) -> Labels:
        """By what the head is trained."""
        return "outcome" if self.labels is None else "monte_carlo"


class StepsTold(TypedDict):
    """How well the steps of the validation problems are told; of several heads, their mean."""

    loss: float
    """Cross-entropy of steps, in nats; the calibration's two numbers were fitted to it."""
    loss_of_base_rate: float
    """Of a score that is always the training problems' base rate."""
    auc: float | None
    """Of steps."""


class Validation(StepsTold):
    """What to choose a head's settings by: the held-out problems are for the end."""

    solutions_auc: float | None
    """Of whole solutions, by their last step: the same for any `labels` and `ends`."""
    solutions_auc_within: float | None
    """The same within problems: what choosing among samples can use."""
    voting: dict[str, Voting]
    """By run: which temperature is best for weighted voting."""


class TrainingReport(TypedDict):
    """What came of training a head."""

    schema: Literal[1]
    head: str
    """Its folder."""
    base: str
    layers: list[int]
    features: Features
    prompt: Prompt
    labels: Labels
    ends: float
    hidden: int
    contrast: float
    folds: int
    """0: one head on one split; else so many, averaged."""
    seed: int
    held_out_runs: list[str]
    """The runs whose problems judge the head; empty: a part of the training runs' own."""
    problems: dict[Part, int]
    solutions: dict[Part, int]
    """Those that count: in training, each text of a problem once."""
    steps: int
    """Rows that the head was fitted to; of several heads, their mean."""
    base_rate: float
    """Of the training problems' candidates as they were drawn."""
    search: Sequence[Mapping[str, object]]
    """For each head, how the penalty or the epoch was chosen."""
    calibration: Sequence[Mapping[str, float]]
    """For each head."""
    validation: Validation
    held_out: HeldOut
    seconds: dict[str, float]
