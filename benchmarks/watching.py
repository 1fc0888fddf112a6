"""An engine and a verifier that note when they were at work."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import cast

from benchmarks.bound import Drawn
from ponder.engines.base import Capabilities, Engine
from ponder.types import Completion, Prefix, Problem, Sampling, ScoreFailure, StepScores
from ponder.verifiers.base import Verifier, VerifierInfo

Span = tuple[float, float]
"""From and to, in seconds of one clock."""


class WatchedEngine:
    """The engine inside, with the time and tokens of each sample in `drawn`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.drawn: list[Drawn] = []

    @property
    def capabilities(self) -> Capabilities:
        """The engine's own."""
        return self._engine.capabilities

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """The engine's samples, noted as they end."""
        start = time.perf_counter()
        inner = self._engine.generate(prefix, sampling, seeds)
        async with aclosing(cast("AsyncGenerator[Completion, None]", inner)) as completions:
            async for completion in completions:
                tokens = completion.usage.generated or 0
                self.drawn.append(Drawn(start, time.perf_counter(), tokens))
                yield completion

    async def aclose(self) -> None:
        """Whoever opened the engine closes it."""


class WatchedVerifier:
    """The verifier inside, with the time of each call in `scored`, and what it was asked."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.scored: list[Span] = []
        self.asked: list[tuple[Problem, Sequence[Prefix]]] = []
        """In order of time."""

    @property
    def info(self) -> VerifierInfo:
        """The verifier's own."""
        return self._verifier.info

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """The verifier's scores."""
        start = time.perf_counter()
        self.asked.append((problem, prefixes))
        try:
            return await self._verifier.score(problem, prefixes)
        finally:
            self.scored.append((start, time.perf_counter()))

    async def aclose(self) -> None:
        """Whoever opened the verifier closes it."""


def covered(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not touch, in order."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def only_in_first(first: Iterable[Span], second: Iterable[Span]) -> float:
    """Seconds that the first spans cover and the second do not."""
    both = covered([*first, *(others := covered(second))])
    return _length(both) - _length(others)


def _length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)
