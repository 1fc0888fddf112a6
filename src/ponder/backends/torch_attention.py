"""Attention over prefix trees, as transformers calls it: each tree's tokens meet its own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ponder.backends.torch_pass import TreePass
from ponder.errors import VerifierError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "ponder_tree"
"""What transformers knows this attention by."""
WITHOUT_EFFECT = frozenset(
    ("position_ids", "cache_position", "use_cache", "output_attentions", "output_hidden_states")
)
"""Arguments of attention that change nothing here."""


class Layer(Protocol):
    """What transformers' attention modules tell of themselves."""

    layer_idx: int
    config: Any


class Asked(NamedTuple):
    """What a layer wants of its attention."""

    scale: float
    """Of the products of queries and keys."""
    window: int | None
    """How many positions back a token sees, its own included; None: all."""
    cap: float | None
    """Bound of the scores, softly: `cap * tanh(score / cap)`; None: none."""


def register() -> None:
    """Make this attention known to transformers under `NAME`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, tree_attention)


def tree_attention(
    module: Layer,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    tree_pass: TreePass | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Transformers' attention interface for one row of new tokens, [1, heads, new, width].

    Returns [1, new, heads, width]. Raises VerifierError for a layer that asks for more than is
    honoured here: a scale, grouped heads, a sliding window, a soft cap.
    """
    names = [name for name, it in others.items() if it is not None and name not in WITHOUT_EFFECT]
    if attention_mask is not None:
        names.append("a mask of its own")
    if is_causal is False or getattr(module, "is_causal", True) is False:
        names.append("tokens that see what follows them")
    if dropout:
        names.append("dropout")
    if sliding_window is None and _slides(module):
        names.append("a sliding window that it does not tell")
    if tree_pass is None:
        names.append("attention without the pass handed on")
    if names or tree_pass is None:
        raise VerifierError(f"{type(module).__name__} asks for {', '.join(names)}: not supported")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    asked = Asked(scale, sliding_window, softcap)
    return _attend(module, (query[0], key[0], value[0]), tree_pass, asked)[None], None


def _slides(module: Layer) -> bool:
    kinds = getattr(module.config, "layer_types", None)
    return kinds is not None and kinds[module.layer_idx] == "sliding_attention"


def _attend(
    module: Layer, new: tuple[Tensor, Tensor, Tensor], tree_pass: TreePass, asked: Asked
) -> Tensor:
    """What each new token reads [new, heads, width]; its keys and values are kept."""
    query, key, value = new
    held = [
        state.put(module.layer_idx, growth.first, key[:, rows], value[:, rows])
        for state, growth, rows in tree_pass.trees
    ]
    mixed = query.new_empty((query.shape[1], query.shape[0], value.shape[2]))
    for block in tree_pass.blocks(query, asked.window):
        keys, values = held[block.tree]
        if block.slots is not None:
            keys, values = keys.index_select(1, block.slots), values.index_select(1, block.slots)
        read = _mix(query[:, block.rows], keys, values, block.mask, asked)
        mixed[block.rows] = read.transpose(0, 1)
    return mixed


def _mix(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, asked: Asked) -> Tensor:
    """Softmax attention of [heads, queries, width]; groups of heads share keys and values."""
    import torch

    grouped = query.reshape(keys.shape[0], -1, *query.shape[1:])
    keys = keys[:, None].expand(-1, grouped.shape[1], -1, -1)
    values = values[:, None].expand(-1, grouped.shape[1], -1, -1)
    if asked.cap is None:
        attend = torch.nn.functional.scaled_dot_product_attention
        return attend(grouped, keys, values, attn_mask=mask, scale=asked.scale).flatten(0, 1)
    scores = grouped @ keys.transpose(-1, -2) * asked.scale
    scores = asked.cap * torch.tanh(scores / asked.cap) + mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ values).flatten(0, 1)
