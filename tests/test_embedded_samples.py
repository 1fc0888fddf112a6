"""The samples of one model, step by step in this process: cache, order, cancelling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino_genai
import pytest

from ponder.backends.local_model import find_model
from ponder.backends.models import silent
from ponder.backends.openvino_messages import Draw, Drawn, Settings
from ponder.backends.openvino_model import OpenVinoModel
from ponder.backends.openvino_samples import Samples
from ponder.errors import EngineError
from tests.gguf_reference import Reference
from tests.tiny_gguf import write_tiny

pytestmark = pytest.mark.engine

rng = np.random.default_rng(5)
TEXT = tuple(int(token) for token in rng.integers(3, 250, 400))
OTHER = tuple(int(token) for token in rng.integers(3, 250, 40))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    return write_tiny(path, metadata={"llama.context_length": 1024})


@pytest.fixture(scope="module")
def folder(file: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONDER_CACHE", str(file.parent))
        yield find_model(file, silent).path


def samples_of(
    folder: Path, step_tokens: int, slots: int = 32, cache_tokens: int | None = None
) -> Samples:
    settings = Settings(
        model=str(folder),
        end_ids=(),
        context=1024,
        slots=slots,
        cache_gb=1,
        cache_tokens=cache_tokens,
        threads=None,
        reproducible=False,
        step_tokens=step_tokens,
    )
    return Samples(OpenVinoModel(settings))


def draw(call: int, ids: tuple[int, ...], limit: int = 4, seeds: int = 1) -> Draw:
    heat = 0.0 if seeds == 1 else 1.2
    return Draw(call, ids, len(ids), tuple(range(seeds)), heat, 1.0, 0, limit, "length", None, ())


def finish(samples: Samples) -> list[Drawn]:
    found: list[Drawn] = []
    while samples.active:
        found += samples.step()
    assert samples.running == 0
    return found


def test_what_counts_as_cached_is_what_the_engine_does_not_compute(folder: Path) -> None:
    samples = samples_of(folder, step_tokens=1)

    def asked(ids: tuple[int, ...], limit: int) -> tuple[Drawn, int]:
        """The sample, and the tokens of its prompt that were computed, one a step."""
        samples.add(draw(1, ids, limit))
        steps = 0
        while True:
            steps += 1
            if found := samples.step():
                return found[0], steps - limit + 1

    for start, more in ((40, 9), (64, 1), (70, 30), (95, 2), (96, 40)):
        first, computed = asked(TEXT[start : 2 * start], limit=10)
        assert first.prompt is not None
        assert computed == first.prompt - (first.cached or 0)
        assert first.token_ids is not None
        grown = TEXT[start : 2 * start] + first.token_ids
        for ids in (grown + OTHER[:more], grown[:-2] + OTHER[:more], grown, grown[:start]):
            again, computed = asked(ids, limit=3)
            assert again.cached == len(ids) - computed


def test_no_thread_is_bound_to_a_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, object]] = []
    pipeline = openvino_genai.ContinuousBatchingPipeline

    def watched(
        model: str, scheduler: object, device: str, properties: dict[str, object], *rest: object
    ) -> object:
        given.append(properties)
        return pipeline(model, scheduler, device, properties, *rest)

    monkeypatch.setattr(openvino_genai, "ContinuousBatchingPipeline", watched)
    samples = samples_of(folder, step_tokens=40)
    samples.add(draw(1, TEXT))
    assert finish(samples)
    assert given == [{"ENABLE_CPU_PINNING": False}]


def test_a_prompt_cancelled_half_way_leaves_nothing_wrong_in_the_cache(
    folder: Path, file: Path
) -> None:
    samples = samples_of(folder, step_tokens=40)
    samples.add(draw(1, TEXT))
    samples.step()
    samples.cancel(1)
    samples.add(draw(2, TEXT[:100] + OTHER))
    [drawn] = finish(samples)
    assert drawn.call == 2
    check_numbers(Reference(file), TEXT[:100] + OTHER, drawn)


def test_prompts_that_share_their_beginning_give_the_same_numbers(folder: Path, file: Path) -> None:
    samples = samples_of(folder, step_tokens=40)
    prompts = [TEXT[: 90 + 20 * n] + OTHER[: 10 + n] for n in range(6)]
    for number, ids in enumerate(prompts):
        samples.add(draw(number, ids, limit=12, seeds=2))
        samples.step()
    reference = Reference(file)
    found = finish(samples)
    assert len(found) == 12
    for drawn in found:
        check_numbers(reference, prompts[drawn.call], drawn)


def test_a_cache_smaller_than_what_is_asked_gives_the_same_numbers(
    folder: Path, file: Path
) -> None:
    samples = samples_of(folder, step_tokens=40, cache_tokens=640)
    reference = Reference(file)
    prompts = [TEXT[: 60 + 20 * n] + OTHER[: 10 + n] for n in range(8)]
    for _ in range(2):
        for number, ids in enumerate(prompts):
            samples.add(draw(number, ids, limit=100, seeds=3))
        found = finish(samples)
        assert len(found) == 24
        for drawn in found:
            check_numbers(reference, prompts[drawn.call], drawn)


def check_numbers(reference: Reference, ids: tuple[int, ...], drawn: Drawn) -> None:
    assert drawn.error is None
    assert drawn.token_ids is not None
    wanted = reference.logprobs([*ids, *drawn.token_ids])[len(ids) - 1 : -1]
    picked = wanted[np.arange(len(drawn.token_ids)), list(drawn.token_ids)]
    assert np.abs(np.array(drawn.logprobs) - picked).mean() < 0.1


def test_a_prompt_is_computed_by_one_sample_and_read_by_the_others(folder: Path) -> None:
    samples = samples_of(folder, step_tokens=40)
    samples.add(draw(1, TEXT, seeds=4))
    samples.add(draw(2, TEXT[:200] + OTHER, seeds=2))
    found = finish(samples)
    one, two = ([drawn for drawn in found if drawn.call == call] for call in (1, 2))
    assert sorted(drawn.cached or 0 for drawn in one) == [0, 399, 399, 399]
    assert sorted(drawn.cached or 0 for drawn in two) == [192, 239]


def test_waiting_samples_are_dropped_at_once_and_running_ones_with_a_step(folder: Path) -> None:
    samples = samples_of(folder, step_tokens=256, slots=2)
    samples.add(draw(1, OTHER, limit=500, seeds=6))
    for _ in range(4):
        samples.step()
    assert samples.running == 6
    samples.cancel(1)
    assert samples.running == 2
    samples.step()
    assert samples.running == 0
    assert not samples.active


def test_a_text_that_the_tokenizer_would_cut_is_refused(folder: Path) -> None:
    model = samples_of(folder, 16)._model
    assert len(model.encode(" a" * 5000)) >= 5000
    with pytest.raises(EngineError, match="has 8192 tokens or more"):
        model.encode(" a" * 9000)
