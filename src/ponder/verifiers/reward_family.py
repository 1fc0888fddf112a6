"""What a family of reward models is, as data: every key of its TOML file.

A family says how a model wants a question and steps written, and where and how it scores them.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Table):
    """How the question and the steps become the tokens that the model reads.

    `{bos}`, `{eos}` and `{pad}` in a text stand for the tokenizer's own special tokens.
    """

    layout: Literal["text", "chat", "dialogue"] = "text"
    """`text`: opening, then the steps. `chat`: the opening is the user's turn and the steps the
    assistant's, in the checkpoint's own template. `dialogue`: each step is a turn of the user, the
    first with the opening before it, and the assistant answers each with the marker."""
    opening: str = "{question}"
    """What stands before the first step; `{question}` is the bare question."""
    system: str = ""
    """The system's turn; empty: none."""
    numbering: str = ""
    """Before each step that does not begin so already; `{number}` counts from 1."""
    strip: Literal["both", "end"] = "end"
    """White space that a step loses, its separator with it."""
    empty: Literal["drop", "keep"] = "drop"
    """A dropped step of white space only repeats the score before it (1 at the start)."""
    between: str = ""
    """After a step's marker, when another step follows."""
    marker: str = ""
    """After each step, the last too; the score is read there."""
    marker_tokens: Annotated[int, Field(ge=1)] | None = None
    """How many tokens the marker has to be; None: it may merge with the text around it."""
    tokens: Literal["joined", "pieces", "fenced"] = "joined"
    """`joined`: the whole text at once. `pieces`: opening, each step and each marker by itself.
    `fenced`: opening and each step stand between markers, which are then left out."""
    start: Literal["own", "bos", "none"] = "none"
    """Tokens before the text: what the tokenizer puts there itself, or its bos if it has one."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.layout == "dialogue" and (not self.marker or self.tokens != "joined"):
            raise ValueError("a dialogue needs a `marker` and `tokens` = joined")
        if self.tokens == "fenced" and not self.marker:
            raise ValueError("`tokens` = fenced needs a `marker`")
        if self.numbering and "{number}" not in self.numbering:
            raise ValueError(f"`numbering` must hold {{number}}, got {self.numbering!r}")
        return self


class Read(_Table):
    """How a score is read from what the model computes."""

    head: Literal["labels", "classes", "value"]
    """`labels`: softmax over the next-token logits of two tokens, probability of the first.
    `classes`: softmax over a classification head, summed over `positive`. `value`: one number."""
    offset: Annotated[int, Field(le=0)] = 0
    """Which token: 0 is the marker's last (or the text's, where no marker is left), -1 the one
    before it, and so on."""
    labels: tuple[str, ...] = ()
    """The tokens for right and wrong, as they stand in the vocabulary."""
    positive: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """The classes whose probabilities add up to the score."""
    layers: tuple[str, ...] = ()
    """The head's linear layers in the checkpoint's safetensors, a ReLU between two; empty: the
    head that transformers knows."""
    squash: Literal["sigmoid", "none"] = "sigmoid"
    """What is done to a `value`; none: it is cut to `low` and `high`."""
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.head == "labels" and (len(set(self.labels)) != 2 or self.layers):
            raise ValueError("`head` = labels needs two different `labels` and no `layers`")
        if self.head == "classes" and not self.positive:
            raise ValueError("`head` = classes needs `positive`: the classes of a right step")
        if not self.low < self.high:
            raise ValueError(f"`low` must be below `high`, got {self.low} and {self.high}")
        raw = self.head == "value" and self.squash == "none"
        if not raw and (self.low, self.high) != (0.0, 1.0):
            raise ValueError("`low` and `high` belong to a `value` with `squash` = none")
        return self


class Family(_Table):
    """One family of reward models."""

    name: str
    models: tuple[str, ...] = ()
    """Patterns of model names or paths, in any case: `*` stands for anything."""
    architectures: tuple[str, ...] = ()
    """Patterns of the `architectures` in a checkpoint's config.json."""
    classes: int | None = None
    """The number of labels that its config must have, beside the architecture."""
    scores: Literal["steps", "solution"] = "steps"
    """`solution`: an outcome reward model, read at the last token of the whole."""
    estimates: Literal["correctness", "value"]
    """By the labels it was trained on: of steps, or of where the solution ends."""
    input: Input
    read: Read

    @model_validator(mode="after")
    def _fits(self) -> Self:
        whole = self.input.tokens == "joined" and self.input.layout != "dialogue"
        if self.scores == "solution" and (self.input.marker or not whole or self.read.offset):
            raise ValueError(
                "`scores` = solution takes a text or chat, joined, without `marker` and `offset`"
            )
        return self

    @property
    def digest(self) -> str:
        """Changes with everything that may change a score."""
        content = self.model_dump_json(exclude={"name", "models", "architectures", "classes"})
        return hashlib.sha256(content.encode()).hexdigest()[:8]
