"""Reward models that vLLM serves as classifiers: at the last token, and at each, the slow mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.remote_reward import RewardServer
from tests.byte_checkpoint import checkpoint, ids_of
from tests.vllm_models import tiny
from tests.vllm_server import BLOCK, NAME, serving

__all__ = ["checkpoint"]

QUESTION = "Kim buys 6 packs of 7 cards and gives 2 away. How many are left?"
TEXTS = ("6 * 7 = 42 cards.\n\n", "42 - 2 = 40, so 40 cards are left.\n\n", "So 40.")
LAST = ("--pooler-config", '{"task": "classify"}')
SERVED = {
    "a sequence classifier": ("SequenceClassification", (), "classify"),
    "a token classifier's last token": ("TokenClassification", LAST, "classify"),
    "a token classifier": ("TokenClassification", (), "pooling"),
}


class Served:
    """A running server, the checkpoint behind it, and how it is asked."""

    def __init__(self, url: str, model: Path, kind: str, mode: Any) -> None:
        self.url, self.model, self.kind, self.mode = url, model, kind, mode

    def verifier(self, checkpoint: Path, mode: Any = None) -> RewardServer:
        family = str(checkpoint / "classes.toml")
        asked = mode or self.mode
        return RewardServer(
            self.url, NAME, family, asked, tokenizer=str(checkpoint), block_size=BLOCK
        )

    def probability(self, ids: list[int]) -> float:
        """Of the second class at the last token, by transformers."""
        import torch
        import transformers

        loaded = getattr(transformers, f"AutoModelFor{self.kind}").from_pretrained(self.model)
        with torch.no_grad():
            logits = loaded(torch.tensor([ids])).logits[0]
        return float((logits[-1] if logits.dim() > 1 else logits).softmax(-1)[1])

    def prefix_cache(self) -> tuple[float, float]:
        """Prompt tokens that vLLM looked up in its cache so far, and found there."""
        told = httpx.get(f"{self.url}/metrics").text.splitlines()

        def total(name: str) -> float:
            lines = [line for line in told if line.startswith(f"vllm:prefix_cache_{name}_total{{")]
            return sum(float(line.rpartition(" ")[2]) for line in lines)

        return total("queries"), total("hits")


@pytest.fixture(scope="module", params=sorted(SERVED))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    kind, options, mode = SERVED[request.param]
    model = tiny(tmp_path_factory.mktemp("reward"), kind, num_labels=2)
    with serving(model, "--runner", "pooling", *options) as url:
        yield Served(url, model, kind, mode)


async def test_scores_are_those_of_the_checkpoint(served: Served, checkpoint: Path) -> None:
    verifier = served.verifier(checkpoint)
    problem = Problem.ask(QUESTION)
    prefix = Prefix.root(problem)
    for text in TEXTS:
        prefix = prefix.grow(Step(text))
    [answer] = await verifier.score(problem, [prefix])
    await verifier.aclose()
    assert isinstance(answer, StepScores), answer
    assert len(answer.scores) == len(TEXTS)
    for end, score in enumerate(answer.scores, 1):
        ids = ids_of(*TEXTS[:end], question=QUESTION)
        assert score == pytest.approx(served.probability(ids), abs=1e-3)


async def test_a_beam_search_computes_what_the_mode_allows(
    served: Served, checkpoint: Path
) -> None:
    """Depth 5, 4 beams, by the server's own count: `classify` the floor, `pooling` all again."""
    verifier = served.verifier(checkpoint)
    problem = Problem.ask("Of 40 cards, how many are red, when 12 are black and 3 are white?")
    beams = [Prefix.root(problem)] * 4
    asked_before, hit_before = served.prefix_cache()
    for depth in range(5):
        beams = [
            beam.grow(Step(f"Step {depth} of beam {number}.\n\n"))
            for number, beam in enumerate(beams)
        ]
        assert all(isinstance(s, StepScores) for s in await verifier.score(problem, beams))
    await verifier.aclose()
    asked, hit = served.prefix_cache()
    counts = verifier.counts
    assert counts.requests == 20
    assert counts.cached is None, "it tells no cached tokens with its answers"
    if served.mode == "pooling":
        assert asked == asked_before, "its cache is not looked up at all"
        return
    computed = asked - asked_before - (hit - hit_before)
    ratio = computed / counts.distinct
    print(f"computed / distinct {ratio:.3f}, least {counts.least_ratio:.3f}")
    assert asked - asked_before == counts.prompt
    assert counts.floor <= computed <= 1.1 * counts.floor


async def test_the_other_mode_is_refused_by_name(served: Served, checkpoint: Path) -> None:
    other = "pooling" if served.mode == "classify" else "classify"
    verifier = served.verifier(checkpoint, other)
    problem = Problem.ask(QUESTION)
    [answer] = await verifier.score(problem, [Prefix.root(problem).grow(Step("So 40."))])
    await verifier.aclose()
    assert isinstance(answer, ScoreFailure)
    assert ("`mode` = pooling" if other == "classify" else "token_classify") in answer.reason
    assert "\n" not in answer.reason
