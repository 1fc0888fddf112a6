"""What is read of a transformers model at every token: label logits, classes, a head, states."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ponder.errors import MissingExtraError, UsageError, VerifierError

if TYPE_CHECKING:
    from torch import Tensor

Read: TypeAlias = "Callable[[Sequence[Tensor]], Tensor]"
"""From the residual streams that a readout asks for, [tokens, hidden] each, to [tokens, width]."""

SCALED_LOGITS = ("logit_scale", "logits_scaling", "lm_head_multiplier", "mup_width_multiplier")
"""Names in configs for scales of the logits, which no readout here applies."""


@dataclass(frozen=True, slots=True)
class LabelLogits:
    """The language model's logits of a few ids, and of these only: [tokens, len(token_ids)]."""

    token_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.token_ids:
            raise UsageError("`token_ids` must name at least one label")


@dataclass(frozen=True, slots=True)
class Classes:
    """The logits of a token or sequence classification model, at every token."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A head by its weights' names in the checkpoint's safetensors files.

    Several layers follow one another with a ReLU between, as `score.0` and `score.2` of
    Qwen2.5-Math-PRM. One layer is linear, as `v_head.summary` of Skywork-o1-Open-PRM.
    """

    layers: tuple[str, ...]
    """Each a name without `.weight`; `.bias` is added where the file has one."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise UsageError("`layers` must name at least one layer of the head")


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """The residual stream after some layers, side by side: [tokens, len(layers) * hidden]."""

    layers: tuple[int, ...] = (-1,)
    """As transformers counts `hidden_states`: 0 is the embeddings, the last one is normed."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise UsageError("`layers` must name at least one layer")


Readout: TypeAlias = LabelLogits | Classes | LinearHead | HiddenStates


def auto_class(readout: Readout, config: Any) -> str:
    """Name of the transformers class that loads what the readout needs.

    Raises VerifierError where the checkpoint is of another kind.
    """
    if isinstance(readout, LabelLogits):
        return "AutoModelForCausalLM"
    if not isinstance(readout, Classes):
        return "AutoModel"
    made = list(config.architectures or ())
    for kind in ("TokenClassification", "SequenceClassification"):
        if any(name.endswith(f"For{kind}") for name in made):
            return f"AutoModelFor{kind}"
    raise VerifierError(f"the model is {', '.join(made) or 'of no kind told'}, not a classifier")


def layers_read(readout: Readout, layers: int) -> tuple[int, ...]:
    """Which of the model's `layers` + 1 residual streams are read, counted from 0.

    Raises VerifierError for one that the model does not have.
    """
    if not isinstance(readout, HiddenStates):
        return (layers,)
    for layer in readout.layers:
        if not -layers - 1 <= layer <= layers:
            raise VerifierError(f"there is no layer {layer}: the model has 0 to {layers}")
    return tuple(layer % (layers + 1) for layer in readout.layers)


def build(readout: Readout, model: Any, folder: Path | None) -> Read:
    """The function that reads; `folder` holds the checkpoint, for heads that are read from it."""
    import torch

    if isinstance(readout, HiddenStates):
        return lambda streams: torch.cat([stream.float() for stream in streams], dim=-1)
    if isinstance(readout, LinearHead):
        return _head(readout, folder, model.device)
    if isinstance(readout, Classes):
        return _classes(model)
    return _labels(readout, model)


def _labels(readout: LabelLogits, model: Any) -> Read:
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    for name in SCALED_LOGITS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise VerifierError(f"the model scales its logits (`{name}`), which is not supported")
    rows = len(head.weight)
    for token_id in readout.token_ids:
        if not 0 <= token_id < rows:
            raise VerifierError(f"there is no token {token_id}: the model has {rows}")
    ids = list(readout.token_ids)
    weight = head.weight[ids].float()
    bias = None if head.bias is None else head.bias[ids].float()
    cap = getattr(config, "final_logit_softcapping", None)

    def read(streams: Sequence[Tensor]) -> Tensor:
        import torch

        logits = torch.nn.functional.linear(streams[-1].to(weight.device).float(), weight, bias)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    return read


def _classes(model: Any) -> Read:
    head = getattr(model, "score", None) or getattr(model, "classifier", None)
    if head is None:
        raise VerifierError(f"{type(model).__name__} has neither `score` nor `classifier`")

    def read(streams: Sequence[Tensor]) -> Tensor:
        weight = next(head.parameters())
        logits: Tensor = head(streams[-1].to(weight.device, weight.dtype))
        return logits.float()

    return read


def _head(readout: LinearHead, folder: Path | None, device: Any) -> Read:
    import torch

    if folder is None:
        raise VerifierError("a head by its weights' names needs the folder of the checkpoint")
    found = read_tensors(folder, [f"{name}.{part}" for name in readout.layers for part in _PARTS])
    layers = []
    for name in readout.layers:
        if f"{name}.weight" not in found:
            raise VerifierError(f"{folder} holds no weight {name}.weight in its safetensors files")
        bias = found.get(f"{name}.bias")
        weight = found[f"{name}.weight"].to(device, torch.float32)
        layers.append((weight, None if bias is None else bias.to(device, torch.float32)))

    def read(streams: Sequence[Tensor]) -> Tensor:
        states = streams[-1].to(device).float()
        for number, (weight, bias) in enumerate(layers):
            states = torch.nn.functional.linear(states.relu() if number else states, weight, bias)
        return states

    return read


_PARTS = ("weight", "bias")


def read_tensors(folder: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Those of the named tensors that a checkpoint's safetensors files hold.

    Raises VerifierError for a file that cannot be read.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise MissingExtraError("safetensors", "verifiers") from error
    found: dict[str, Tensor] = {}
    for file in _files(folder, names):
        try:
            with safe_open(file, framework="pt") as tensors:
                held = set(tensors.keys())
                found.update({name: tensors.get_tensor(name) for name in names if name in held})
        except (OSError, SafetensorError) as error:
            raise VerifierError(f"{file} cannot be read: {_line(error)}") from error
    return found


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Where a checkpoint keeps the named tensors; raises VerifierError for a damaged index."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return [folder / "model.safetensors"]
    try:
        places = json.loads(index.read_text())["weight_map"]
        return sorted({folder / places[name] for name in names if name in places})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerifierError(f"{index} cannot be read: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
