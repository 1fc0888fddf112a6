"""Which tokens of which trees go into a model's next pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from ponder.backends.prefix_tree import Growth, State, TreeModel
from ponder.backends.problem_tree import ProblemTree, Reading
from ponder.backends.tree_cache import TreeCache

MASK_CELLS = 1 << 27
"""The most cells of one tree's mask in one pass, for models that make it whole: a large tree takes
smaller bites."""
SMALLEST_PASS = 16
"""Tokens; a pass that is out of memory is not cut further."""


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """What has been read so far."""

    computed: int = 0
    """Positions that went through the model, repeats included."""
    distinct: int = 0
    """Nodes of the prefix trees over all sequences asked for."""
    passes: int = 0
    peak_cache_tokens: int = 0
    """The most tokens that had keys and values at once."""
    busy_seconds: float = 0.0
    """Time in the model."""
    dropped: int = 0
    """Trees that left the cache while their problem was alive."""
    halved: int = 0
    """How often a pass was out of memory, and passes became half as large."""

    @property
    def ratio(self) -> float:
        """Computed over distinct: 1 where each token was computed once."""
        return self.computed / self.distinct if self.distinct else 1.0


class Pass(NamedTuple, Generic[State]):
    """What one call of the model is to compute."""

    ends: dict[ProblemTree[State], int]
    """Up to which slot each tree grows."""
    readings: list[Reading[State]]
    """Those that get tokens from it."""


class TreePasses(Generic[State]):
    """Makes the passes in which the trees of all problems grow; used from one thread."""

    def __init__(
        self, model: TreeModel[State], cache: TreeCache[State], tokens_a_pass: int
    ) -> None:
        self._model = model
        self._cache = cache
        self._tokens_a_pass = tokens_a_pass
        self._computed = self._passes = self._peak = self._halved = 0
        self._busy_seconds = 0.0

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        return ReadCounts(
            computed=self._computed,
            distinct=self._cache.distinct,
            passes=self._passes,
            peak_cache_tokens=self._peak,
            busy_seconds=self._busy_seconds,
            dropped=self._cache.dropped,
            halved=self._halved,
        )

    def plan(self, waiting: Sequence[Reading[State]]) -> Pass[State]:
        """Admit readings, oldest first, until a pass is full or the cache has no room."""
        self._cache.survey()
        planned: Pass[State] = Pass({}, [])
        room = self._tokens_a_pass
        for reading in waiting:
            if room <= 0 or not self._cache.admit(reading):
                break
            room -= _take(planned, reading, room)
        return planned

    def compute(self, planned: Pass[State]) -> None:
        """Let the model compute a pass; what it raises is raised, with the pass's trees dropped."""
        try:
            self._extend(planned)
        except BaseException:
            for tree in planned.ends:
                tree.drop()
            raise

    def halve(self) -> bool:
        """Make passes half as large and empty the cache; False if they are as small as can be."""
        if self._tokens_a_pass <= SMALLEST_PASS:
            return False
        self._tokens_a_pass = max(self._tokens_a_pass // 2, SMALLEST_PASS)
        self._halved += 1
        self._cache.clear()
        return True

    def _extend(self, planned: Pass[State]) -> None:
        asked: list[tuple[State, Growth]] = []
        for tree, end in planned.ends.items():
            if tree.state is None:
                tree.state = self._model.new_state()
            asked.append((tree.state, tree.held.growth(end - tree.held.computed)))
        self._count(asked)
        started = time.perf_counter()
        try:
            outputs = self._model.extend(asked)
        finally:
            self._busy_seconds += time.perf_counter() - started
        for tree, (_, growth), rows in zip(planned.ends, asked, outputs, strict=True):
            tree.keep(growth, rows)

    def _count(self, asked: Sequence[tuple[State, Growth]]) -> None:
        self._peak = max(self._peak, self._cache.computed)
        self._passes += 1
        self._computed += sum(len(growth.token_ids) for _, growth in asked)


def _take(planned: Pass[State], reading: Reading[State], room: int) -> int:
    """Add what an admitted reading needs to a pass; how many tokens that is."""
    tree = reading.tree
    computed = tree.held.computed
    if reading.end <= computed:
        return 0
    start = planned.ends.get(tree, computed)
    bite = computed + max(MASK_CELLS // len(tree.held), 1)
    end = max(min(reading.end, start + room, bite), start)
    if end > start or reading.end <= start:
        planned.ends[tree] = end
        planned.readings.append(reading)
    return end - start
