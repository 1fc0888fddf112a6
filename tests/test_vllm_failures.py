"""What the `vllm` engine makes of vLLM's refusals and failures; no model is loaded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder.backends.vocabulary import Vocabulary
from ponder.engines.scripted import ScriptedEngine
from ponder.engines.vllm import VllmEngine
from ponder.engines.vllm.model import LoadedModel
from ponder.types import Completion, Prefix, Problem, Sampling

TEXT: Any = SimpleNamespace(
    vocabulary=Vocabulary([b"<end>", b"a"], control=[0]),
    render=lambda _messages: "a",
    encode=lambda text: (1,) * len(text),
)
CAPABILITIES = ScriptedEngine(lambda _prefix, _seed: "").capabilities
MODEL = LoadedModel(TEXT, frozenset({0}), 100, 1, 32, CAPABILITIES)


async def drawn(llm: Any, sampling: Sampling) -> list[Completion]:
    prefix = Prefix.root(Problem.ask("Hello?"))
    engine = VllmEngine(llm, MODEL)
    return [completion async for completion in engine.generate(prefix, sampling, [1, 2])]


async def test_sampling_that_vllm_refuses_fails_its_samples() -> None:
    samples = await drawn(object(), Sampling(temperature=2.5))
    assert [sample.index for sample in samples] == [0, 1]
    for sample in samples:
        assert sample.error is not None
        assert sample.error.startswith("vLLM refuses to sample so: temperature must be in [0, 2]")


class FailingLlm:
    """Fails each request as vLLM does: by an error without words, whose cause has them."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause

    async def generate(self, *_asked: object, **_rank: object) -> AsyncGenerator[Any, None]:
        from vllm.v1.engine.exceptions import EngineGenerateError

        nothing: tuple[Any, ...] = ()
        for output in nothing:
            yield output
        raise EngineGenerateError() from self.cause


@pytest.mark.parametrize(
    ("cause", "said"),
    [(ValueError("no room\nat all"), "no room"), (AssertionError(), "AssertionError")],
)
async def test_a_failure_without_words_tells_its_cause(cause: Exception, said: str) -> None:
    samples = await drawn(FailingLlm(cause), Sampling())
    assert [sample.error for sample in samples] == [f"vLLM failed: {said}"] * 2
    assert {sample.ended for sample in samples} == {"aborted"}
