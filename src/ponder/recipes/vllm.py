"""The `vllm` engine's part of a recipe, and whether it fits a GPU beside a verifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

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
    """Where it runs and how fast, see `VllmOptions`; `others_share` is for adding up alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensor_parallel: int = 1
    data_parallel: int = 1
    memory_share: float = 0.9
    cache_gb: float | None = None
    eager: bool = False
    others_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of each of the engine's GPUs: what other programs use there, as a verifier's server."""


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
    chosen = {**study.vllm.model_dump(), **host.vllm.model_dump(exclude={"others_share"})}
    options = VllmOptions(**chosen, slots=host.slots, openings_kept=host.openings_kept)
    check_memory(options, study, host.vllm.others_share)
    return options


async def open_vllm(recipe: Recipe, announce: Callable[[str], None]) -> VllmEngine:
    """The engine, its model loaded."""
    from ponder.engines.vllm import VllmEngine

    return await VllmEngine.open(recipe.study.model, vllm_options(recipe), announce)


def check_memory(options: VllmOptions, study: Study, others_share: float = 0.0) -> None:
    """Raise UsageError where engine and verifiers ask for more than the whole of a GPU's memory.

    `others_share` of each of the engine's GPUs is what other programs use there.
    A verifier on a GPU of the engine must state its share: unbounded, it fails after the minutes
    that both take to load. So must the engine: told the size of its cache, vLLM takes that
    whatever its share.
    """
    engine = range(options.tensor_parallel * options.data_parallel)
    own = [("engine", options.memory_share), (_OTHERS, others_share)]
    shares = {gpu: list(own) for gpu in engine}
    for name, knobs, gpus in _placed(study, engine):
        share = knobs.get("memory_share")
        stated = float(share) if isinstance(share, int | float) else None
        for gpu in sorted(gpus):
            if gpu in engine:
                _check_beside(options, name, stated, gpu)
            shares.setdefault(gpu, []).append((_VERIFIER, stated or 0.0))
    for gpu, asked in sorted(shares.items()):
        if sum(share for _, share in asked) > 1 + 1e-9:
            raise UsageError(_too_much(gpu, [pair for pair in asked if pair[1]]))


_OTHERS = "other programs (`host.vllm.others_share`)"
_VERIFIER = "verifier"


def _too_much(gpu: int, asked: Sequence[tuple[str, float]]) -> str:
    """That the shares of a GPU come to more than the whole, and the mend."""
    added = " + ".join(f"{share:g}" for _, share in asked)
    whole = sum(share for _, share in asked)
    who = list(dict.fromkeys(name for name, _ in asked))
    told = f"GPU {gpu} is asked for {added} = {whole:g} of its memory by {' and '.join(who)}: "
    mend = ", or give the verifier another `device`" if _VERIFIER in who else ""
    return f"{told}lower a `memory_share`{mend}"


def _check_beside(options: VllmOptions, verifier: str, share: float | None, gpu: int) -> None:
    """Raise UsageError where engine or verifier keeps to no share of a GPU that both use."""
    if options.cache_gb is not None:
        raise UsageError(
            f"the verifier {verifier} shares GPU {gpu} with the engine, which keeps to no "
            f"`memory_share` where it has a `cache_gb`, {options.cache_gb:g}: leave out "
            "`host.vllm.cache_gb`"
        )
    if share is None:
        raise UsageError(
            f"the verifier {verifier} shares GPU {gpu} with the engine, which takes "
            f"{options.memory_share:g} of its memory: give it a `memory_share`, with both 1 at "
            "most, or another `device`"
        )


def _placed(
    study: Study, engine: Iterable[int]
) -> Iterator[tuple[str, Mapping[str, Any], frozenset[int]]]:
    """Each verifier, its knobs, and its GPUs; `auto` is every GPU that anything here is on."""
    verifiers = list(_knobs_by_verifier(study))
    every = frozenset(engine)
    every = every.union(*(_gpus(name, knobs, every) for name, knobs in verifiers))
    for name, knobs in verifiers:
        yield name, knobs, _gpus(name, knobs, every)


def _knobs_by_verifier(study: Study) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The verifier and its knobs, or each part of a mix and its own."""
    parts: Mapping[str, object] = study.verifier_knobs
    if study.verifier != "mix":
        parts = {str(study.verifier): study.verifier_knobs}
    for name, knobs in parts.items():
        if isinstance(knobs, Mapping):
            yield name, knobs


def _gpus(verifier: str, knobs: Mapping[str, Any], every: frozenset[int]) -> frozenset[int]:
    """The GPUs that a verifier loads its model on, by torch's name of them.

    On `auto`, `every`: the model is spread, and its share holds for each.
    """
    device = knobs.get("device")
    unsaid = device in (None, "auto") and "memory_share" not in knobs
    if unsaid and not (_needs_torch(verifier, knobs) and _has_gpu()):
        return frozenset()
    if device == "auto":
        return every
    if device in (None, "cuda"):
        return frozenset({0})
    kind, _, number = str(device).partition(":")
    return frozenset({int(number)} if kind == "cuda" and number.isdecimal() else ())


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
