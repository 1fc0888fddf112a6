"""The embedded model's hidden states on OpenVINO, without torch: prefix trees are its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ponder.backends.local_model import LocalModel
from ponder.backends.openvino_cpu import cpu_properties
from ponder.backends.openvino_graph import MASK, states_graph
from ponder.backends.prefix_tree import Growth, Outputs
from ponder.errors import EngineError

Computed = Literal["f32", "bf16"]
"""What the numbers between weights are computed in. bf16, with 8 bits in products with the weights,
is over twice as fast, and states then move by 1 to 2 % with the number of tokens in a call; in f32
by a few millionths."""

ROOM: Final = 1.25
"""How many slots a tree gets room for when it grows, as a multiple of what it needs."""

_GROUP: Final = "128"
"""Numbers of a token's states that are rounded to 8 bits together, before a matrix of weights: 32
move states by 1.2 % and not 1.7 %, and take 1.25 to 1.3 times as long."""

_UNTOLD_GROUP: Final = "128"
"""Heads and features of states that were rounded by it name the library alone."""

_UNTOLD_LENGTH: Final = 1 << 20
"""The longest path of a model whose files do not say what it was made for."""


class TreeKeys:
    """A tree's keys and values, one array an input of the graph: [heads, slots, numbers a head]."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.float32]] = []

    def of(self, slots: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Those of some slots, as the graph takes them: [1, heads, slots, numbers]."""
        return [kept[None, :, slots] for kept in self._kept]

    def keep(self, first: int, new: Sequence[NDArray[np.float32]]) -> None:
        """Store those of new slots from `first` on, [heads, new, numbers] each."""
        end = first + new[0].shape[1]
        if not self._kept or end > self._kept[0].shape[1]:
            self._grow(first, end, new)
        for kept, own in zip(self._kept, new, strict=True):
            kept[:, first:end] = own

    def _grow(self, first: int, end: int, like: Sequence[NDArray[np.float32]]) -> None:
        """Array by array, so that only one is there twice."""
        for number, own in enumerate(like):
            heads, _, numbers = own.shape
            room = np.empty((heads, int(end * ROOM), numbers), dtype=np.float32)
            if number < len(self._kept):
                room[:, :first] = self._kept[number][:, :first]
                self._kept[number] = room
            else:
                self._kept.append(room)


class OpenVinoTrees:
    """A second compiled copy of a model's weights that gives hidden states: a `TreeModel`.

    Each call is given the keys and values that its tokens see and no others, so that a token costs
    as much in a wide tree as alone. The interpreter's lock is released while a request runs.
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
        self.bytes_a_token = int(ROOM * graph.bytes_a_token)
        """With room to grow."""
        self.longest = model.context or _UNTOLD_LENGTH
        self._nothing = {
            name: np.empty((1, heads, 0, numbers), dtype=np.float32)
            for name, (heads, numbers) in graph.keys.items()
        }
        self._request = _compile(graph.model, computed, threads).create_infer_request()

    def new_state(self) -> TreeKeys:
        """The keys and values of an empty tree."""
        return TreeKeys()

    def extend(self, trees: Sequence[tuple[TreeKeys, Growth]]) -> list[Outputs]:
        """Each tree's new states [new, width], one call a tree, without a pad.

        Raises EngineError if the library fails; that tree's state is then of no more use.
        """
        try:
            return [self._extended(keys, growth) for keys, growth in trees]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_line(error)}") from error

    def _extended(self, keys: TreeKeys, growth: Growth) -> Outputs:
        seen = growth.sight(0, len(growth.token_ids))
        before = seen.slots[seen.slots < growth.first]
        held = zip(self._nothing, keys.of(before), strict=True) if len(before) else ()
        inputs = {
            "input_ids": growth.token_ids[None],
            "position_ids": growth.positions[None],
            MASK: np.where(seen.sees, np.float32(0), np.float32(-np.inf))[None, None],
            **self._nothing,
            **dict(held),
        }
        found, *new = self._request.infer(inputs).to_tuple()
        keys.keep(growth.first, [one[0] for one in new])
        return np.array(found[0], dtype=np.float32)


def engine_version(computed: Computed = "f32") -> str:
    """The library, its release, and how it rounds: states may differ from one to the next."""
    import openvino

    release = f"openvino {openvino.__version__.partition('-')[0]}"
    return release if _group(computed) in ("0", _UNTOLD_GROUP) else f"{release} group {_GROUP}"


def _group(computed: Computed) -> str:
    """Numbers that are rounded to 8 bits together; 0: none are."""
    return "0" if computed == "f32" else _GROUP


def _compile(model: Any, computed: Computed, threads: int | None) -> Any:
    import openvino

    properties = {
        **cpu_properties(threads),
        "INFERENCE_PRECISION_HINT": computed,
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _group(computed),
    }
    try:
        return openvino.Core().compile_model(model, "CPU", properties)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot compile the model: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
