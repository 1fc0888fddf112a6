"""What a trained head says of itself: `head.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Features = Literal["last", "mean", "recent", "question", "last+mean", "last+mean+question"]
"""What is read at a step's end: the state at its last token; the mean over the tokens of the
solution so far; the mean over the last RECENT tokens of the solution; the state at the prompt's
last token; or several of these, in this order."""
Prompt = Literal["question", "messages"]
"""What stands before the steps: the bare question, or the conversation that the model answered."""
Labels = Literal["outcome", "monte_carlo"]
Activation = Literal["relu", "tanh"]
Precision = Literal["f32", "bf16", "f16"]
"""What the numbers between weights are computed in; f16 on transformers only."""
PRECISIONS: Final[Mapping[str, Precision]] = {
    "float32": "f32",
    "bfloat16": "bf16",
    "float16": "f16",
}
"""By the dtype that a user names."""


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class BaseOf(_Described):
    """The frozen model that the head reads."""

    name: str
    sha256: str
    """Of its weights' file or folder; of a model on the hub, its commit."""
    weights: str
    """Their precision as they are kept, such as "q8_0" or "bfloat16"."""
    path: str | None = None
    """What the user named; None is the default model."""


class Calibration(_Described):
    """The probability is the sigmoid of scale * logit + shift (Platt 1999)."""

    scale: float = Field(default=1.0, gt=0)
    shift: float = 0.0


class TrainingFigures(_Described):
    """How the head came about, and how good it was on problems that it was not trained on."""

    problems: int
    samples: int
    held_out_problems: int
    auc: float | None
    """Of single steps; None if the held-out samples all ended alike."""
    auc_low: float | None = None
    """Of its 95 % interval."""
    auc_high: float | None = None
    brier: float | None = None
    better_than_chance: bool | None = None
    """The interval of the solutions' AUC lies above 0.5; None before it was judged."""
    better_within_problems: bool | None = None
    """The same of choosing among the samples of a problem; None where it was not told."""
    seed: int
    data: str
    """Where the samples are from, for a person."""


class HeadConfig(_Described):
    """What `head.json` holds."""

    version: Literal[1] = 1
    base: BaseOf
    engine: str
    """The library that gave the states, and its release: "openvino 2026.4.1", or
    "transformers 5.2.0 torch 2.10.0"; and how it rounded them, where that may differ."""
    computed: Precision = "f32"
    """What the engine computed in."""
    layers: tuple[int, ...] = Field(min_length=1)
    """Whose states are read, side by side; counted from 1."""
    features: Features
    prompt: Prompt = "question"
    labels: Labels
    """`outcome`: whether the solution ended right; `monte_carlo`: how many completions from the
    step's end did. Both estimate value."""
    activation: Activation = "relu"
    """Of the hidden layer, if there is one."""
    calibration: Calibration = Calibration()
    training: TrainingFigures
