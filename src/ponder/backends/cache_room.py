"""Room in the key-value cache, promised to a sample before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ponder.backends.prefix_ledger import BLOCK


class CacheRoom:
    """Blocks that running samples may come to need, so that they never exceed the cache.

    When they do, OpenVINO GenAI takes blocks away from a sample and computes them again later.
    With prefix caching on, samples that come to find such blocks get wrong numbers and no error
    (a quarter of those tried, with 2026.4.1). Whole blocks of a prompt are counted once for all
    samples that share them.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._own = 0
        self._shared: Counter[int] = Counter()

    @property
    def longest(self) -> int:
        """Tokens that one sequence can have when it is alone."""
        return (self._blocks - 1) * BLOCK

    def fits(self, prompt: Sequence[int], tokens: int) -> bool:
        """A sample of at most `tokens`, whose prompt has the block keys `prompt`, has room."""
        new = sum(key not in self._shared for key in prompt)
        held = self._own + len(self._shared)
        return held + new + _own(prompt, tokens) <= self._blocks

    def take(self, prompt: Sequence[int], tokens: int) -> None:
        """Promise the room."""
        self._own += _own(prompt, tokens)
        self._shared.update(prompt)

    def give_back(self, prompt: Sequence[int], tokens: int) -> None:
        """The sample is gone."""
        self._own -= _own(prompt, tokens)
        self._shared.subtract(prompt)
        for key in prompt:
            if not self._shared[key]:
                del self._shared[key]


def _own(prompt: Sequence[int], tokens: int) -> int:
    """Blocks of a sample alone, with one for the copy of a block that it shares and goes on in."""
    return -(-tokens // BLOCK) - len(prompt) + 1
