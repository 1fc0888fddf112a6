"""The frozen model whose hidden states a head reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ponder.backends.prefix_tree import Reduced
from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure
from ponder.verifiers.head_base import find_base
from ponder.verifiers.head_config import BaseOf, Precision, Prompt
from ponder.verifiers.reward_opening import DType
from ponder.verifiers.state_reader import SolutionStates

DEPTH = 2 / 3
"""How deep in the model the default layer lies: the last ones turn towards the next token. Of five
layers of SmolLM2-135M the one there had the least validation loss."""


class States(Protocol):
    """What gives hidden states: `ponder.verifiers.state_reader.StateReader`."""

    async def reduced(
        self,
        problem: Problem,
        prefixes: Sequence[Prefix],
        reduce: Callable[[SolutionStates], Reduced],
    ) -> list[Reduced | ScoreFailure]:
        """What `reduce` makes of each prefix's states [tokens, layers * width], in order."""
        ...

    async def aclose(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model, and how it is opened to give states."""

    of: BaseOf
    engine: str
    """The library and its release."""
    computed: Precision
    layers: tuple[int, ...]
    """Counted from 1."""
    open: Callable[[Sequence[int]], States]
    """Load it to give these layers side by side; takes seconds and blocks."""


def base_model(
    model: str | None,
    layers: Sequence[int] | None,
    *,
    prompt: Prompt,
    device: str | None = None,
    dtype: DType | None = None,
    threads: int | None = None,
    announce: Callable[[str], None],
) -> BaseModel:
    """The model that `model` names, None the default one, on the path that will serve it.

    `device`, `dtype` and `threads` are those of `ponder.verifiers.head_base.find_base`. `layers`
    are counted from 1, or from the end with -1; None is one at DEPTH. Takes seconds and blocks.
    Raises UsageError for a model or layer that is not there, or a layer named twice, EngineError or
    VerifierError for a model whose states cannot be read.
    """
    base = find_base(model, device=device, dtype=dtype, threads=threads, announce=announce)
    if layers is None:
        (depth,) = base.layers((-1,))
        layers = (round(DEPTH * depth),)
    chosen = base.layers(layers)
    if len(set(chosen)) < len(chosen):
        told = ", ".join(map(str, layers))
        raise UsageError(f"of the layers {told} two are the same one: name each once")
    return BaseModel(base.of, base.engine, base.computed, chosen, partial(base.open, prompt=prompt))
