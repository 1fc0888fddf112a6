"""The frozen model whose hidden states a head reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ponder.backends.local_model import LocalModel, find_model
from ponder.backends.openvino_graph import states_graph
from ponder.backends.openvino_trees import Computed, engine_version
from ponder.types import Prefix, Problem, ScoreFailure
from ponder.verifiers.head_config import BaseOf, Prompt
from ponder.verifiers.state_reader import SolutionStates, StateReader

DEPTH = 2 / 3
"""How deep in the model the default layer lies: the last ones turn towards the next token. Of five
layers of SmolLM2-135M the one there had the least validation loss."""


class States(Protocol):
    """What gives hidden states: `ponder.verifiers.state_reader.StateReader`."""

    async def states(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[SolutionStates | ScoreFailure]:
        """The states of each prefix, in order: [tokens, layers * width]."""
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
    computed: Computed
    layers: tuple[int, ...]
    """Counted from 1."""
    open: Callable[[Sequence[int]], States]
    """Load it to give these layers side by side; takes seconds and blocks."""


def openvino_base(
    model: str | None,
    layers: Sequence[int] | None,
    *,
    prompt: Prompt,
    computed: Computed = "f32",
    threads: int | None = None,
    announce: Callable[[str], None],
) -> BaseModel:
    """The model that `model` names, None the default one, read through OpenVINO.

    `layers` are counted from 1, or from the end with -1; None is one at DEPTH. Takes seconds and
    blocks. Raises UsageError for a model or layer that is not there, EngineError for a model whose
    states cannot be read.
    """
    found = find_model(model, announce)
    graph = states_graph(found.path, layers or (-1,))
    return BaseModel(
        BaseOf(name=found.name, sha256=found.sha256, weights=found.precision, path=_path(model)),
        engine_version(),
        computed,
        graph.layers if layers else (round(DEPTH * graph.depth),),
        partial(_open, found, prompt, computed, threads),
    )


def _open(
    model: LocalModel,
    prompt: Prompt,
    computed: Computed,
    threads: int | None,
    layers: Sequence[int],
) -> StateReader:
    return StateReader.open(model, layers=layers, prompt=prompt, computed=computed, threads=threads)


def _path(model: str | None) -> str | None:
    """`model` as a head names it: whole, wherever the head is used from."""
    return None if model is None else str(Path(model).expanduser().resolve())
