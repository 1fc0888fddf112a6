"""The embedded model's hidden states on OpenVINO, without torch: prefix trees are its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from ponder.backends.local_model import LocalModel
from ponder.backends.openvino_graph import MASK, states_graph
from ponder.backends.prefix_tree import Growth, Outputs
from ponder.errors import EngineError

Computed = Literal["f32", "bf16"]
"""What the numbers between weights are computed in. bf16 is faster, and the states then move by
about 1 % with the number of tokens in a call; in f32 by a few millionths."""

_UNTOLD_LENGTH: Final = 1 << 20
"""The longest path of a model whose files do not say what it was made for."""


class OpenVinoTrees:
    """A second compiled copy of a model's weights that gives hidden states: a `TreeModel`.

    An inference request is a tree: its state holds the keys and values, is only ever appended to,
    and goes with the request. The interpreter's lock is released while a request runs.
    """

    def __init__(
        self,
        model: LocalModel,
        layers: Sequence[int] = (-1,),
        *,
        computed: Computed = "f32",
        threads: int | None = None,
    ) -> None:
        """Compile the copy: seconds, and about twice the file's size in memory.

        `layers` are counted from 1, or from the end with -1. Raises UsageError for a layer that is
        not there, EngineError for a graph that cannot be read or compiled.
        """
        graph = states_graph(model.path, layers)
        self.layers = graph.layers
        self.width = graph.width
        self.bytes_a_token = 2 * graph.bytes_a_token
        """With room to grow: OpenVINO doubles a state when it is full."""
        self.longest = model.context or _UNTOLD_LENGTH
        self._compiled = _compile(graph.model, computed, threads)

    def new_state(self) -> Any:
        """An inference request with an empty state."""
        return self._compiled.create_infer_request()

    def extend(self, trees: Sequence[tuple[Any, Growth]]) -> list[Outputs]:
        """Each tree's new states [new, width], one call a tree, without a pad.

        Raises EngineError if the library fails; that tree's state is then of no more use.
        """
        return [_infer(request, growth) for request, growth in trees]


def engine_version() -> str:
    """The library and its release, as states may differ from one to the next."""
    import openvino

    return f"openvino {openvino.__version__.partition('-')[0]}"


def _compile(model: Any, computed: Computed, threads: int | None) -> Any:
    import openvino

    properties: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": computed,
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        return openvino.Core().compile_model(model, "CPU", properties)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot compile the model: {_line(error)}") from error


def _infer(request: Any, growth: Growth) -> Outputs:
    mask = np.where(growth.sees, np.float32(0), np.float32(-np.inf))
    inputs = {
        "input_ids": growth.token_ids[None],
        "position_ids": growth.positions[None],
        "beam_idx": np.zeros(1, dtype=np.int32),
        MASK: mask[None, None],
    }
    try:
        found = request.infer(inputs)[0]
    except RuntimeError as error:
        raise EngineError(f"OpenVINO failed: {_line(error)}") from error
    return np.array(found[0], dtype=np.float32)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
