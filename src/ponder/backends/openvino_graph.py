"""A language model's OpenVINO graph, cut down to the states of chosen layers under a tree mask.

An exported model computes its attention mask from a row of ones and ends in the scores of the next
token. Here the mask of all attention is an input of its own, so that the new tokens of many
branches go through in one call, and the result is what the layers leave behind. The keys and values
of tokens seen before are inputs, too, and those of the new ones results: a graph that keeps them as
its own state attends to them by a slow path, one token at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ponder.errors import EngineError, MissingExtraError, UsageError

MASK = "tree_mask"
"""Input [1, 1, new, all]: 0 where a token attends to a slot, minus infinity where it does not."""
_INPUTS = ("input_ids", "position_ids")
_KEY_BYTES = 4
"""Of one number of a key or value, in float32."""


class StatesGraph(NamedTuple):
    """A graph ready to be compiled."""

    model: Any
    """An `openvino.Model`: inputs `input_ids`, `position_ids` [1, new], MASK and `keys`, as many
    as it needs of [1, heads, before, numbers]; results [1, new, width], then [1, heads, new,
    numbers] for each of `keys`, in order."""
    keys: Mapping[str, tuple[int, int]]
    """Inputs for keys and values by name: heads and numbers a head."""
    layers: tuple[int, ...]
    """As asked, each from 1 to `depth`."""
    depth: int
    """Layers that the whole model has."""
    width: int
    """Of the result: the model's own times the number of `layers`."""
    bytes_a_token: int
    """What one token's keys and values take, in float32."""


def states_graph(folder: Path, layers: Sequence[int]) -> StatesGraph:
    """The graph in `folder` that gives the states after `layers`, side by side in that order.

    Layers are counted from 1, or from the end with -1; the last one's states are normalised, as in
    the `hidden_states` of `transformers`. Layers that nothing asked for needs are left out. Raises
    UsageError for a layer that is not there, EngineError for a graph of another form.
    """
    ov = _openvino()
    whole = ov.Core().read_model(folder / "openvino_model.xml")
    attention = [op for op in whole.get_ordered_ops() if _kind(op) == "ScaledDotProductAttention"]
    try:
        chosen = tuple(_layer(layer, len(attention)) for layer in layers)
        states = _chosen_states(whole, attention, chosen)
        mask = _mask_input(ov, attention)
        kept = _keys_as_inputs(ov, whole)
        model, keys = _cut(ov, whole, states, mask, kept)
    except _FormError as error:
        raise EngineError(f"{folder}: states cannot be read from this graph: {error}") from error
    width = sum(state.get_partial_shape()[2].get_length() for state in states)
    numbers = sum(heads * own for heads, own in keys.values())
    return StatesGraph(model, keys, chosen, len(attention), width, _KEY_BYTES * numbers)


class _FormError(Exception):
    """The graph is not built as the models that this module knows."""


def _openvino() -> Any:
    try:
        import openvino
        import openvino.opset13  # an attribute of the package only once imported
    except ImportError:
        raise MissingExtraError("openvino", "embedded") from None
    return openvino


def _layer(layer: int, depth: int) -> int:
    if not depth:
        raise _FormError("it has no attention")
    if layer == 0 or not -depth <= layer <= depth:
        raise UsageError(f"the model has layers 1 to {depth} (or -{depth} to -1), got {layer}")
    return layer if layer > 0 else depth + 1 + layer


def _chosen_states(whole: Any, attention: Sequence[Any], layers: Sequence[int]) -> list[Any]:
    """The output that holds each layer's states: [batch, new, the model's width]."""
    last = _scored_states(whole)
    states = [
        last if layer == len(attention) else _after_block(attention[layer - 1]) for layer in layers
    ]
    widths = {str(state.get_partial_shape()[2]) for state in (last, *states)}
    if len(widths) > 1 or last.get_partial_shape()[2].is_dynamic:
        raise _FormError(f"its layers are {' and '.join(sorted(widths))} wide")
    return states


def _scored_states(whole: Any) -> Any:
    """What the matrix of next-token scores is applied to: the normalised states of the last layer.

    After that matrix come only element-wise operations, so it is the nearest one upwards.
    """
    node = whole.get_results()[0]
    while _kind(node) != "MatMul":
        if node.get_input_size() == 0:
            raise _FormError("it does not end in a matrix of next-token scores")
        node = node.input_value(0).get_node()
    return node.input_value(0)


def _after_block(attention: Any) -> Any:
    """The residual stream after a block: attention is added to it, then the feed-forward part.

    The first sum is the nearest one down from the attention, the second reads the first directly.
    """
    nodes = [attention]
    while nodes and not any(map(_joins, nodes)):
        nodes = [reader for node in nodes for reader in _readers(node)]
    for joined in filter(_joins, nodes):
        for reader in filter(_joins, _readers(joined)):
            return reader.output(0)
    raise _FormError("its blocks are not two sums onto a residual stream")


def _joins(node: Any) -> bool:
    """Whether it is a sum of two computed tensors, not a bias or a norm's epsilon."""
    return _kind(node) == "Add" and all(
        node.input_value(side).get_partial_shape().is_dynamic for side in (0, 1)
    )


def _mask_input(ov: Any, attention: Iterable[Any]) -> Any:
    """A new input that takes the place of every attention's mask.

    One mask must have served all layers: a window of its own in some of them would be lost.
    """
    mask = ov.opset13.parameter([1, 1, -1, -1], ov.Type.f32, name=MASK)
    replaced = set()
    for node in attention:
        if node.get_input_size() < 4 or node.get_attributes()["causal"]:
            raise _FormError("its attention takes no mask")
        replaced.add(node.input_value(3).get_node().get_name())
        node.input(3).replace_source_output(mask.output(0))
    if len(replaced) != 1:
        raise _FormError(f"its layers attend by {len(replaced)} different masks")
    return mask


class _Kept(NamedTuple):
    """Keys or values that the graph kept as its state."""

    before: Any
    """A parameter in their place."""
    new: Any
    """The output that is appended to them."""


def _keys_as_inputs(ov: Any, whole: Any) -> list[_Kept]:
    """Let inputs take the place of all states; they are read, ordered by beam and appended to."""
    kept = []
    for number, read in enumerate(op for op in whole.get_ordered_ops() if _kind(op) == "ReadValue"):
        ordered = [node for node in _readers(read) if _kind(node) == "Gather"]
        joins = [node for one in ordered for node in _readers(one) if _kind(node) == "Concat"]
        if len(ordered) != 1 or len(joins) != 1 or joins[0].get_input_size() != 2:
            raise _FormError("it does not keep keys and values as its state")
        shape = joins[0].output(0).get_partial_shape()
        if shape.rank.get_length() != 4 or shape[1].is_dynamic or shape[3].is_dynamic:
            raise _FormError("it does not keep keys and values as its state")
        heads, numbers = shape[1].get_length(), shape[3].get_length()
        before = ov.opset13.parameter([1, heads, -1, numbers], ov.Type.f32, name=f"before.{number}")
        before.output(0).get_tensor().set_names({f"before.{number}"})
        new = joins[0].input_value(1)
        for reader in ordered[0].output(0).get_target_inputs():
            reader.replace_source_output(before.output(0))
        kept.append(_Kept(before, new))
    _mend_broadcasts(ov, whole)
    return kept


def _mend_broadcasts(ov: Any, whole: Any) -> None:
    """Let a broadcast of keys to more heads keep their number: 1 in the place of 0.

    Graphs built from GGUF files say 0 there, which holds only as long as the graph keeps its state.
    """
    for node in whole.get_ordered_ops():
        shape = node.input_value(1).get_node() if _kind(node) == "Broadcast" else None
        if shape is None or _kind(shape) != "Concat":
            continue
        for part in shape.inputs():
            source = part.get_source_output().get_node()
            if _kind(source) == "Constant" and not source.get_data().any():
                one = ov.opset13.constant([1], source.get_element_type())
                part.replace_source_output(one.output(0))


def _cut(
    ov: Any, whole: Any, states: Sequence[Any], mask: Any, kept: Sequence[_Kept]
) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The part of the graph that `states` need, and its inputs for keys and values."""
    joined = ov.opset13.concat(states, axis=-1) if len(states) > 1 else states[0]
    result = ov.opset13.result(joined)
    needed = _upstream(result)
    inputs = [node for node in whole.get_parameters() if node.get_name() in needed]
    if names := {_name(node) for node in inputs} ^ set(_INPUTS):
        raise _FormError(f"its inputs differ in {', '.join(sorted(names))}")
    used = [one for one in kept if one.before.get_name() in needed]
    if not used:
        raise _FormError("it does not keep keys and values as its state")
    results = [result, *(ov.opset13.result(one.new) for one in used)]
    model = ov.Model(results, [*inputs, mask, *(one.before for one in used)], "states")
    shapes = {_name(one.before): one.before.get_partial_shape() for one in used}
    keys = {name: (shape[1].get_length(), shape[3].get_length()) for name, shape in shapes.items()}
    return model, keys


def _upstream(result: Any) -> set[str]:
    """The names of all nodes that `result` depends on."""
    found: set[str] = set()
    open_ends = [result]
    while open_ends:
        node = open_ends.pop()
        if node.get_name() not in found:
            found.add(node.get_name())
            sources = (node.input_value(i).get_node() for i in range(node.get_input_size()))
            open_ends.extend(sources)
    return found


def _readers(node: Any) -> list[Any]:
    return [reader.get_node() for reader in node.output(0).get_target_inputs()]


def _kind(node: Any) -> str:
    kind: str = node.get_type_name()
    return kind


def _name(parameter: Any) -> str:
    name: str = parameter.output(0).get_any_name()
    return name
