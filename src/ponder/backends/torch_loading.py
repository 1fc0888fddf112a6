"""Loading a transformers model whose prefix trees can be computed, and refusing the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ponder.backends.torch_readouts import Readout, auto_class
from ponder.errors import MissingExtraError, UsageError, VerifierError

PRECISIONS = ("float32", "bfloat16", "float16")
HONOURED_LAYERS = ("full_attention", "sliding_attention")
STEADY_ROTATIONS = ("default", "linear", "llama3", "yarn", "proportional")
"""Rotary embeddings under which a token's key does not depend on how long the text becomes."""
_SHARES: dict[int, dict[str, float]] = {}
"""What the models that this program has loaded may take of each GPU's memory."""


def load(
    model: str | Path, readout: Readout, device: str | None, dtype: str | None
) -> tuple[Any, Path]:
    """A folder or a model of the Hugging Face hub with what the readout needs, and its folder.

    Remote code is never run. Raises UsageError for a precision or a GPU that there is not,
    VerifierError where the model cannot be loaded, MissingExtraError without torch or transformers.
    """
    if dtype is not None and dtype not in PRECISIONS:
        raise UsageError(f"`dtype` must be one of {', '.join(PRECISIONS)}, got {dtype!r}")
    try:
        import torch
        import transformers
        from safetensors import SafetensorError
        from transformers.utils.hub import cached_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch or transformers", "verifiers") from error
    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"torch finds no GPU for `device` = {device}: leave it out, or use cpu")
    try:
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=False)
        loaded, told = getattr(transformers, auto_class(readout, config)).from_pretrained(
            model,
            config=config,
            trust_remote_code=False,
            attn_implementation="eager",
            dtype="auto" if dtype is None else getattr(torch, dtype),
            device_map="auto" if device == "auto" else None,
            output_loading_info=True,
        )
        if device != "auto":
            loaded = loaded.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        folder = Path(str(cached_file(model, "config.json"))).parent
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise VerifierError(f"{model} cannot be loaded: {line}") from error
    if told["missing_keys"]:
        names = ", ".join(sorted(told["missing_keys"])[:3])
        raise VerifierError(f"{model} lacks weights that its scores need: {names}")
    return loaded, folder


def bound_memory(model: str, device: str | None, share: float | None) -> None:
    """Let a model take a share of its GPU's memory, beside the shares of those loaded before it.

    torch knows one bound for the whole program: it becomes their sum, and none with a model whose
    share is None. A model that is loaded again counts once. Nothing where no GPU is used.
    """
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        return
    if device == "auto":
        gpus = range(torch.cuda.device_count())
    else:
        index = None if device is None else torch.device(device).index
        gpus = range(index or 0, (index or 0) + 1)
    for gpu in gpus:
        shares = _SHARES.setdefault(gpu, {})
        shares[model] = 1.0 if share is None else share
        if set(shares.values()) != {1.0}:
            torch.cuda.set_per_process_memory_fraction(min(sum(shares.values()), 1.0), gpu)


def refuse_unhonoured(config: Any) -> None:
    """Raise VerifierError for what a text model's config asks for and trees do not honour."""
    for kind in getattr(config, "layer_types", None) or ():
        if kind not in HONOURED_LAYERS:
            raise VerifierError(f"the model has layers of {kind}, which is not supported")
    for rotation in _rotations(getattr(config, "rope_parameters", None) or {}):
        if rotation not in STEADY_ROTATIONS:
            raise VerifierError(
                f"the model turns its keys by the text's length ({rotation}): not supported"
            )
    for name in ("is_encoder_decoder", "use_bidirectional_attention", "add_cross_attention"):
        if getattr(config, name, None) not in (None, False):
            raise VerifierError(f"the model is no plain decoder (`{name}`): not supported")
    if not isinstance(getattr(config, "max_position_embeddings", None), int):
        raise VerifierError("the model's config does not tell `max_position_embeddings`")


def _rotations(parameters: dict[str, Any]) -> list[str]:
    """The kinds of rotary embeddings: one, or one a kind of layer."""
    kinds = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    return [str(kind.get("rope_type", "default")) for kind in kinds]
