"""What an engine's run was asked, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from benchmarks.options import Options
from benchmarks.workload import recipe_of
from ponder.prompts import load_prompt
from ponder.recipes import SamplingSettings, Study
from ponder.verifiers.head_file import read_config
from ponder.verifiers.value_head import SHIPPED

_MODELS: Mapping[tuple[str, str | None], str] = {
    ("embedded", None): "SmolLM2-135M-Instruct with weights of 8 bits",
    ("vllm", ".results/smollm2"): "SmolLM2-135M-Instruct in bfloat16",
}
"""Those of the page, by engine and name."""
_PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def setting(options: Options) -> str:
    """Model, problems, prompt, limits and verifier, as the recipe has them."""
    study = recipe_of(options, "sample").study
    prompt = load_prompt(study.prompt)
    shots = sum(turn.role == "assistant" for turn in prompt.turns)
    return (
        f"{_model(study)} solves the first problems of `{study.dataset}` after the {shots} worked "
        f"examples of the prompt `{study.prompt}`, {_limits(study.sampling)}. {_verifier(study)}"
    )


def _model(study: Study) -> str:
    return _MODELS.get((study.engine, study.model)) or f"`{study.model or study.engine}`"


def _limits(sampling: SamplingSettings) -> str:
    step = f", {sampling.max_step_tokens} a step" if sampling.max_step_tokens else ""
    return (
        f"at temperature {sampling.temperature:g}, at most {sampling.max_tokens} tokens a solution"
        f"{step}; `{sampling.separator.encode('unicode_escape').decode()}` ends a step"
    )


def _verifier(study: Study) -> str:
    knobs = study.verifier_knobs
    if study.verifier == "arithmetic":
        return "The verifier `arithmetic` computes the equations of the steps and has no model."
    if study.verifier != "value-head" or knobs:
        return f"The verifier is `{study.verifier}`."
    folder = SHIPPED["smollm2"]
    head = read_config(Path(str(files("ponder.data") / "heads" / folder)))
    reads = "the bare question, without the examples" if head.prompt == "question" else "all turns"
    layers = " and ".join(map(str, head.layers))
    return (
        f"The value head `{folder}` of the package reads layer {layers} of a copy of "
        f"{head.base.name.partition('.')[0]} of its own, on OpenVINO in "
        f"{_PRECISIONS[head.computed]}: {reads}, and the steps."
    )
