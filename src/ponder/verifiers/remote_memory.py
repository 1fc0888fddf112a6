"""Scores that a remote verifier has been told already, so that only new steps are asked."""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from weakref import WeakValueDictionary

from ponder.backends.by_problem import ByProblem
from ponder.types import Problem

Scores = tuple[float, ...]


@dataclass(slots=True)
class _OfProblem:
    scores: OrderedDict[bytes, Scores] = field(default_factory=OrderedDict)
    asking: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary)


@dataclass(slots=True)
class ScoreMemory:
    """Scores by prompt, kept as long as their problem lives, each asked once at a time."""

    limit: int = 1 << 16
    """The most prompts of one problem; the oldest go first."""
    _problems: ByProblem[_OfProblem] = field(default_factory=lambda: ByProblem(_OfProblem))

    async def once(
        self, problem: Problem, prompt: Sequence[int], ask: Callable[[], Awaitable[Scores]]
    ) -> Scores:
        """The known scores of this prompt, else what `ask` answers; what it raises is not kept.

        Whoever asks for the same prompt meanwhile waits for the same answer, and asks again where
        the first one failed or was cancelled.
        """
        known = self._problems.of(problem)
        key = blake2b(array("i", prompt).tobytes(), digest_size=16).digest()
        lock = known.asking.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in known.scores:
                known.scores[key] = await ask()
            while len(known.scores) > self.limit:
                known.scores.popitem(last=False)
            return known.scores[key]
