"""A model that costs nothing, and a verifier that costs nothing: what is left is ponder's own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from ponder.answers.registry import answer_kind
from ponder.engines.scripted import ScriptedEngine
from ponder.runner import Method
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.types import Prefix, Problem, Sampling
from ponder.verifiers.scripted import ScriptedVerifier

STEPS = 4
"""Of a solution, the last of which states the answer."""
WORDS = 32
"""Of a step; the scripted engine's tokens are words."""

_STEP = "so " * (WORDS - 2) + "on"


def reasons(prefix: Prefix, seed: int) -> str:
    """What is left of a solution of `STEPS` steps; another text for each seed."""
    left = STEPS - prefix.depth
    steps = [f"{seed} {_STEP}\n\n" for _ in range(left - 1)]
    return "".join([*steps, f"{seed} The answer is {seed % 5}."])


def reasons_a_step(prefix: Prefix, seed: int) -> str:
    """The next step alone, so that the engine has nothing to cut."""
    if prefix.depth < STEPS - 1:
        return f"{seed} {_STEP}\n\n"
    return reasons(prefix, seed)


def judged(_problem: Problem, texts: tuple[str, ...]) -> Sequence[float]:
    """A score from each step's text."""
    return [zlib.crc32(text.encode()) / 2**32 for text in texts]


def strategies(n: int) -> dict[str, Strategy]:
    """The three that are measured, by name."""
    stepwise = Sampling(separator="\n\n")
    return {
        "sample": RepeatedSampling(n, selector="weighted"),
        "beam_search": BeamSearch(n, sampling=stepwise),
        "dvts": DiverseVerifierTreeSearch(n, sampling=stepwise),
    }


def method(strategy: Strategy) -> Method:
    """The strategy on an engine and a verifier without latency."""
    script = reasons if strategy.name == "sample" else reasons_a_step
    engine, verifier = ScriptedEngine(script), ScriptedVerifier(judged)
    return Method(strategy, engine, [verifier], answer_kind("math"))


def problems(count: int) -> list[Problem]:
    """So many problems."""
    return [Problem.ask(f"What is problem {index}?", f"p{index}") for index in range(count)]
