"""The `vllm` engine's part of a recipe, and whether it fits a GPU beside a verifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ponder.engines.vllm.options import VllmOptions
from ponder.errors import UsageError

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
    """The options that a recipe asks for; raises UsageError, also where a GPU's memory is short."""
    study, host = recipe.study, recipe.host
    chosen = {**study.vllm.model_dump(), **host.vllm.model_dump()}
    options = VllmOptions(**chosen, slots=host.slots, openings_kept=host.openings_kept)
    check_memory(options, study)
    return options


async def open_vllm(recipe: Recipe, announce: Callable[[str], None]) -> VllmEngine:
    """The engine, its model loaded."""
    from ponder.engines.vllm import VllmEngine

    return await VllmEngine.open(recipe.study.model, vllm_options(recipe), announce)


def check_memory(options: VllmOptions, study: Study) -> None:
    """Raise UsageError where engine and verifiers ask for more than the whole of a GPU's memory."""
    shares: dict[int, list[float]] = {}
    for knobs in _knobs_by_verifier(study):
        gpu, share = _gpu(knobs.get("device")), knobs.get("memory_share")
        if gpu is not None and isinstance(share, int | float):
            shares.setdefault(gpu, []).append(share)
    for gpu, asked in sorted(shares.items()):
        total = options.memory_share + sum(asked)
        if gpu < options.tensor_parallel * options.data_parallel and total > 1 + 1e-9:
            added = " + ".join(f"{share:g}" for share in [options.memory_share, *asked])
            raise UsageError(
                f"GPU {gpu} is asked for {added} = {total:g} of its memory by engine and verifier: "
                "lower a `memory_share`, or give the verifier another `device`"
            )


def _knobs_by_verifier(study: Study) -> Iterator[Mapping[str, Any]]:
    """The knobs of the verifier, or of each part of a mix."""
    if study.verifier != "mix":
        yield study.verifier_knobs
        return
    yield from (knobs for knobs in study.verifier_knobs.values() if isinstance(knobs, Mapping))


def _gpu(device: object) -> int | None:
    """The GPU that torch's name of a device stands for; None for the CPU."""
    if device is None or device == "cuda":
        return 0
    kind, _, number = str(device).partition(":")
    return int(number) if kind == "cuda" and number.isdecimal() else None
