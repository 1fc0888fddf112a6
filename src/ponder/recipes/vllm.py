"""The `vllm` engine's part of a recipe, and whether it fits a GPU beside a verifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ponder.engines.vllm.options import HOTTEST, VllmOptions
from ponder.errors import UsageError
from ponder.verifiers.value_head import runs_on_transformers

if TYPE_CHECKING:
    from ponder.engines.vllm import VllmEngine
    from ponder.recipes.recipe import Recipe, Study


class VllmStudy(BaseModel):
    """What decides results, see `VllmOptions`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str = "auto"
    quantization: str | None = None
    revision: str | None = None
    max_model_len: int | None = None


class VllmHost(BaseModel):
    """Where it runs and how fast, see `VllmOptions`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensor_parallel: int = 1
    data_parallel: int = 1
    memory_share: float = 0.9
    cache_gb: float | None = None
    eager: bool = False


def vllm_options(recipe: Recipe) -> VllmOptions:
    """The options that a recipe asks for.

    Raises UsageError, also for sampling that vLLM refuses and where a GPU's memory is short.
    """
    study, host = recipe.study, recipe.host
    if study.sampling.temperature > HOTTEST:
        raise UsageError(
            f"`sampling.temperature` must be at most {HOTTEST:g} for vLLM, got "
            f"{study.sampling.temperature:g}"
        )
    chosen = {**study.vllm.model_dump(), **host.vllm.model_dump()}
    options = VllmOptions(**chosen, slots=host.slots, openings_kept=host.openings_kept)
    check_memory(options, study)
    return options


async def open_vllm(recipe: Recipe, announce: Callable[[str], None]) -> VllmEngine:
    """The engine, its model loaded."""
    from ponder.engines.vllm import VllmEngine

    return await VllmEngine.open(recipe.study.model, vllm_options(recipe), announce)


def check_memory(options: VllmOptions, study: Study) -> None:
    """Raise UsageError where engine and verifiers ask for more than the whole of a GPU's memory.

    A verifier on a GPU of the engine must state its share: unbounded, it fails after the minutes
    that both take to load. So must the engine: told the size of its cache, vLLM takes that
    whatever its share.
    """
    shares: dict[int, list[float]] = {}
    for name, knobs in _knobs_by_verifier(study):
        gpu, share = _gpu(name, knobs), knobs.get("memory_share")
        if gpu is None:
            continue
        engine = gpu < options.tensor_parallel * options.data_parallel
        if engine and options.cache_gb is not None:
            raise UsageError(
                f"the verifier {name} shares GPU {gpu} with the engine, which keeps to no "
                f"`memory_share` where it has a `cache_gb`, {options.cache_gb:g}: leave out "
                "`host.vllm.cache_gb`"
            )
        if engine and not isinstance(share, int | float):
            raise UsageError(
                f"the verifier {name} shares GPU {gpu} with the engine, which takes "
                f"{options.memory_share:g} of its memory: give it a `memory_share`, with both 1 at "
                "most, or another `device`"
            )
        own = [options.memory_share] if engine else []
        shares.setdefault(gpu, own).append(float(share or 0))
    for gpu, asked in sorted(shares.items()):
        if sum(asked) > 1 + 1e-9:
            added = " + ".join(f"{share:g}" for share in asked)
            raise UsageError(
                f"GPU {gpu} is asked for {added} = {sum(asked):g} of its memory by engine and "
                "verifier: lower a `memory_share`, or give the verifier another `device`"
            )


def _knobs_by_verifier(study: Study) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The verifier and its knobs, or each part of a mix and its own."""
    parts: Mapping[str, object] = study.verifier_knobs
    if study.verifier != "mix":
        parts = {str(study.verifier): study.verifier_knobs}
    for name, knobs in parts.items():
        if isinstance(knobs, Mapping):
            yield name, knobs


def _gpu(verifier: str, knobs: Mapping[str, Any]) -> int | None:
    """The GPU that a verifier loads its model on, by torch's name of it; None: on none."""
    device = knobs.get("device")
    if device in (None, "auto") and "memory_share" not in knobs:
        return 0 if _needs_torch(verifier, knobs) and _has_gpu() else None
    if device in (None, "auto", "cuda"):
        return 0
    kind, _, number = str(device).partition(":")
    return int(number) if kind == "cuda" and number.isdecimal() else None


def _needs_torch(verifier: str, knobs: Mapping[str, Any]) -> bool:
    """Whether torch runs it; a value head's base model decides that."""
    if verifier != "value-head":
        return verifier == "reward-model"
    return runs_on_transformers(knobs.get("head"), knobs.get("model"))


def _has_gpu() -> bool:
    """Whether torch sees one, which it then takes unless told otherwise."""
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
