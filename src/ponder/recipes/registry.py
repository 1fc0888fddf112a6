"""Parts by name: a new strategy, engine or verifier is one file and one line here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ponder.backends.models import cache_folder
from ponder.engines.base import Engine
from ponder.engines.scripted import Script, ScriptedEngine
from ponder.errors import UsageError
from ponder.recipes.recipe import Host, Recipe, Study
from ponder.recipes.vllm import open_vllm, vllm_options
from ponder.search.policy import fitted_on
from ponder.search.selection import SELECTORS
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.strategies.self_refine import SelfRefine
from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.function import FunctionVerifier, load_function
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.reward_model import RewardModel
from ponder.verifiers.value_head import ValueHeadVerifier

STRATEGIES: Mapping[str, type[Any]] = {
    kind.name: kind
    for kind in (
        RepeatedSampling,
        BeamSearch,
        DiverseVerifierTreeSearch,
        SelfRefine,
        ComputeOptimal,
    )
}

VERIFIERS: Mapping[str, type[Any]] = {
    "arithmetic": ArithmeticVerifier,
    "confidence": ConfidenceVerifier,
    "judge": JudgeVerifier,
    "random": RandomVerifier,
    "reward-model": RewardModel,
    "reward-server": RewardServer,
    "value-head": ValueHeadVerifier,
}


def strategy_of(study: Study) -> Strategy:
    """The study's strategy with its knobs; raises UsageError naming an unknown name or knob."""
    kind = STRATEGIES.get(study.strategy)
    if kind is None:
        raise UsageError(f"unknown strategy {study.strategy!r}: use one of {_names(STRATEGIES)}")
    fields_of = {field.name for field in fields(kind)}
    known = fields_of - {"n", "sampling", "selector", "aggregation"}
    knobs: dict[str, Any] = _known_knobs(study.strategy, study.knobs, known)
    if study.selector is not None and study.selector not in SELECTORS:
        raise UsageError(f"unknown selector {study.selector!r}: use one of {_names(SELECTORS)}")
    for name in ("selector", "aggregation"):
        chosen = getattr(study, name)
        if chosen is not None and name not in fields_of:
            raise UsageError(f"{study.strategy} takes no `{name}`: its own choices have one each")
        if chosen is not None:
            knobs[name] = chosen
    strategy: Strategy = kind(n=study.n, sampling=study.sampling.sampling(), **knobs)
    return strategy


def check_scored(strategy: Strategy, verifiers: Sequence[Verifier]) -> None:
    """Raise UsageError for a strategy that chooses by scores without a verifier to give them."""
    guided = getattr(strategy, "guided", False)
    if (guided or strategy.selector != "majority") and not verifiers:
        raise UsageError(
            f"{strategy.name} needs scores: name a `verifier`, one of {_names(VERIFIERS)}, mix or "
            "module:function"
        )


def check_fitted(strategy: Strategy, study: Study) -> None:
    """Warn where a policy's levels were told by another model, prompt, temperature or verifier."""
    if not isinstance(strategy, ComputeOptimal):
        return
    now = fitted_on(study.model_dump())
    differing = [
        f"{name} {value!r}, not {now.get(name)!r}"
        for name, value in strategy.table.fitted.items()
        if now.get(name) != value
    ]
    if differing:
        warnings.warn(
            f"the policy was fitted with {'; '.join(differing)}: its levels of difficulty may not "
            "hold here: fit it anew",
            stacklevel=2,
        )


def verifier_of(name: str, knobs: Mapping[str, Any]) -> Verifier:
    """The verifier of that name with its knobs; `module:function` is a user's own."""
    if ":" in name:
        return _made(FunctionVerifier, name, knobs, function=name)
    if name == "mix":
        return MixVerifier([_part_of_mix(part, value) for part, value in knobs.items()])
    kind = VERIFIERS.get(name)
    if kind is None:
        raise UsageError(
            f"unknown verifier {name!r}: use one of {_names(VERIFIERS)}, mix or module:function"
        )
    return _made(kind, name, knobs)


def _made(kind: Any, name: str, knobs: Mapping[str, Any], **own: object) -> Verifier:
    """The verifier with its knobs checked; `own` are those that its name says."""
    knobs_of = [field for field in fields(kind) if field.init and field.name not in own]
    known = _known_knobs(name, knobs, {field.name for field in knobs_of})
    for field in knobs_of:
        if field.name not in knobs and field.default is field.default_factory is MISSING:
            raise UsageError(f"{name} needs the knob {field.name!r}")
    types = get_type_hints(kind)
    checked = {knob: _of_type(name, knob, value, types[knob]) for knob, value in known.items()}
    verifier: Verifier = kind(**own, **checked)
    return verifier


def _of_type(owner: str, knob: str, value: object, wanted: Any) -> Any:
    """The value as the knob's type; a choice among words is checked by the verifier itself."""
    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        if any(details["type"] == "literal_error" for details in error.errors()):
            return value
        reason = first["msg"].removeprefix("Input ").partition(",")[0]
        raise UsageError(f"{owner}: the knob {knob!r} {reason}, got {value!r}") from None


def _part_of_mix(name: str, value: object) -> tuple[Verifier, float]:
    """A part and its weight, from a weight or from a table of `weight` and the part's own knobs."""
    knobs = dict(value) if isinstance(value, Mapping) else {"weight": value}
    weight = knobs.pop("weight", None)
    if not isinstance(weight, int | float):
        raise UsageError(f"the weight of {name!r} in a mix must be a number, got {weight!r}")
    return verifier_of(name, knobs), float(weight)


def _known_knobs(owner: str, knobs: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    for knob in knobs:
        if knob not in known:
            raise UsageError(f"{owner} has no knob {knob!r}: it has {', '.join(sorted(known))}")
    return dict(knobs)


def _names(registry: Mapping[str, object]) -> str:
    return ", ".join(registry)


def check_engine(recipe: Recipe) -> None:
    """Raise UsageError for what is known to fail before the engine's model is loaded."""
    if recipe.study.engine == "vllm":
        vllm_options(recipe)


async def open_engine(
    recipe: Recipe, announce: Callable[[str], None], on_busy: Callable[[], None] | None = None
) -> Engine:
    """The recipe's engine, ready for use.

    `announce` is told of what takes long, `on_busy` is called when a server has too much to do.
    """
    study, host = recipe.study, recipe.host
    if study.engine == "scripted":
        return ScriptedEngine(_script(study.model), slots=host.slots or 64)
    if study.engine == "openai":
        return await _open_openai(study, host, on_busy)
    if study.engine == "vllm":
        return await open_vllm(recipe, announce)
    from ponder.engines.embedded import EmbeddedEngine

    return await EmbeddedEngine.open(
        study.model,
        slots=host.slots or 64,
        cache_gb=host.cache_gb,
        threads=host.threads,
        openings_kept=host.openings_kept,
        announce=announce,
    )


async def _open_openai(study: Study, host: Host, on_busy: Callable[[], None] | None) -> Engine:
    from ponder.engines.openai import OpenAIEngine

    if study.model is None:
        raise UsageError("the engine `openai` needs a `model`: the name that the server knows")
    return await OpenAIEngine.open(
        host.base_url,
        study.model,
        api_key_env=host.api_key_env,
        concurrency=host.slots or 32,
        timeout=host.timeout,
        chat_template=host.chat_template,
        cache_folder=cache_folder(),
        openings_kept=host.openings_kept,
        on_busy=on_busy,
    )


def _script(model: str | None) -> Script:
    """The function `module:name` that plays the scripted engine."""
    if not model:
        raise UsageError("the engine `scripted` needs `model` = module:function")
    try:
        found: object = load_function(model)
    except UsageError as error:
        raise UsageError(f"the engine `scripted`: {error}") from error
    if not callable(found):
        raise UsageError(f"the engine `scripted` needs a function, got {model!r}: {found!r}")
    return cast("Script", found)
