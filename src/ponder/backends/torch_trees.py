"""Prefix trees on a Hugging Face transformers model: linear layers see the new tokens only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.backends import torch_attention
from ponder.backends.prefix_tree import Growth, Outputs, PrefixTree
from ponder.backends.torch_loading import load, refuse_unhonoured
from ponder.backends.torch_pass import GROWING, TreePass, TreeState
from ponder.backends.torch_readouts import Readout, build, layers_read
from ponder.errors import VerifierError

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-3
"""Greatest relative difference to the model's own forward pass that the check allows, float32."""
ROUGHLY_CLOSE = 0.1
"""The same in half precision, where a wrong mask still stands out."""
BRANCHES = ((1, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 9, 8, 7, 6, 5, 4))
"""Token sequences that the check reads."""


class TorchTrees:
    """A `TreeModel` over a decoder-only model whose attention transformers lets one replace.

    Llama, Mistral, Mixtral, Qwen2, Qwen3, Gemma and others. What a model asks for and is not
    honoured here is refused by name; then a small tree is computed, and a model that gives
    something else than its own forward pass is refused too.
    """

    def __init__(
        self,
        model: Any,
        readout: Readout,
        folder: Path | None = None,
    ) -> None:
        """Take over a loaded model: its attention is replaced, layers above what is read go.

        `folder` holds its checkpoint, for a readout that loads weights of its own. Raises
        VerifierError for a model that cannot be computed rightly.
        """
        config = model.config.get_text_config()
        refuse_unhonoured(config)
        torch_attention.register()
        self._model = model.eval().requires_grad_(False)
        self._last = config.num_hidden_layers
        self._streams = layers_read(readout, self._last)
        self._read = build(readout, model, folder)
        _keep_layers(model, max(self._streams) + 1)
        embeddings = model.get_input_embeddings()
        self._device, self._vocabulary = embeddings.weight.device, embeddings.num_embeddings
        self.longest: int = config.max_position_embeddings
        self.bytes_a_token = int(GROWING * self._check())
        """With room to grow."""

    @classmethod
    def open(
        cls,
        model: str | Path,
        readout: Readout,
        *,
        device: str | None = None,
        dtype: str | None = None,
    ) -> TorchTrees:
        """Load a folder or a model of the Hugging Face hub; remote code is never run.

        `device`: a torch device, or "auto" to spread the layers over all (needs accelerate); None
        is the GPU where there is one. `dtype`: float32, bfloat16 or float16; None is the
        checkpoint's own. Raises VerifierError where the model cannot be loaded or computed,
        UsageError for another `dtype`, MissingExtraError without torch or transformers.
        """
        loaded, folder = load(model, readout, device, dtype)
        return cls(loaded, readout, folder)

    def new_state(self) -> TreeState:
        """The keys and values of an empty tree."""
        return TreeState()

    def extend(self, trees: Sequence[tuple[TreeState, Growth]]) -> list[Outputs]:
        """Compute the new tokens of all trees in one pass: [new, width] for each tree.

        Raises MemoryError where the device has no room for it, VerifierError for a token that the
        model does not have or a layer that asks for what is not honoured.
        """
        import torch

        with torch.inference_mode(), _memory_errors():
            rows = self._read(self._streams_of(trees)).cpu().numpy()
        ends = np.cumsum([len(growth.token_ids) for _, growth in trees])
        return [part.copy() for part in np.split(rows, ends[:-1])]

    def _streams_of(self, trees: Sequence[tuple[TreeState, Growth]]) -> list[Tensor]:
        """The residual streams that are read, [new tokens of all trees, hidden] each."""
        found = self._forward(trees)
        return [
            (found.last_hidden_state if layer == self._last else found.hidden_states[layer])[0]
            for layer in self._streams
        ]

    def _forward(self, trees: Sequence[tuple[TreeState, Growth]]) -> Any:
        import torch

        token_ids = np.concatenate([growth.token_ids for _, growth in trees])
        positions = np.concatenate([growth.positions for _, growth in trees])
        unknown = token_ids[(token_ids < 0) | (token_ids >= self._vocabulary)]
        if len(unknown):
            raise VerifierError(f"there is no token {unknown[0]}: the model has {self._vocabulary}")
        return self._model.base_model(
            input_ids=torch.from_numpy(token_ids)[None].to(self._device),
            position_ids=torch.from_numpy(positions)[None].to(self._device),
            use_cache=False,
            output_hidden_states=any(layer != self._last for layer in self._streams),
            tree_pass=TreePass(trees),
        )

    def _alone(self) -> Tensor:
        """The model's own hidden states of the branches, one after the other."""
        import torch

        self._model.set_attn_implementation("eager")
        branches = [torch.tensor([branch], device=self._device) for branch in BRANCHES]
        found = [self._model.base_model(input_ids=ids, use_cache=False) for ids in branches]
        self._model.set_attn_implementation(torch_attention.NAME)
        return torch.cat([output.last_hidden_state[0] for output in found])

    def _in_tree(self, state: TreeState) -> Tensor:
        """The same from a tree that grows branch by branch."""
        import torch

        tree, paths, grown = PrefixTree(), list[int](), []
        for branch in BRANCHES:
            paths += tree.add(branch)
            grown.append(self._forward([(state, tree.growth())]).last_hidden_state[0])
        return torch.cat(grown)[paths]

    def _check(self) -> int:
        """Compare a small tree with the model's own forward pass; the bytes of a slot."""
        import torch

        state, who = self.new_state(), type(self._model).__name__
        try:
            with torch.inference_mode():
                alone, found = self._alone().float(), self._in_tree(state)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise VerifierError(
                f"{who} cannot be computed in a tree of prefixes: {line}"
            ) from error
        off = float((found.float() - alone).norm() / alone.norm())
        # Not `off > allowed`: a model that gives NaN is refused as well.
        if not off <= (CLOSE if found.dtype == torch.float32 else ROUGHLY_CLOSE):
            raise VerifierError(
                f"{who} computes something else in a tree of prefixes than alone "
                f"(off by {off:.2g} of its size): not supported"
            )
        return state.bytes_a_slot


def _keep_layers(model: Any, count: int) -> None:
    """Drop the layers after the first `count`, where the model has its layers in one list.

    One more than is read stays: transformers gives the last layer's states normed alone.
    """
    layers = getattr(model.base_model, "layers", None)
    if layers is not None and count < len(layers):
        model.base_model.layers = layers[:count]


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn torch's ways to tell that memory is out into MemoryError."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise
