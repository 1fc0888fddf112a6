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
HELD_AGAIN = 0.8
"""Of the tokens that were too many, the share that the cache may hold from then on."""


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
    lowered: int = 0
    """How often the cache was out of memory, and may hold less from then on."""

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


class Load(NamedTuple):
    """What a pass puts into memory, in tokens with keys and values."""

    new: int = 0
    """The pass's own."""
    needed: int = 0
    """There before, on the path of the pass's oldest reading."""
    others: int = 0
    """There before, for anything else."""

    @property
    def all(self) -> int:
        """Old and new ones together."""
        return self.new + self.needed + self.others


class TreePasses(Generic[State]):
    """Makes the passes in which the trees of all problems grow; used from one thread."""

    def __init__(
        self, model: TreeModel[State], cache: TreeCache[State], tokens_a_pass: int
    ) -> None:
        self._model = model
        self._cache = cache
        self._tokens_a_pass = tokens_a_pass
        self._computed = self._passes = self._peak = self._halved = self._lowered = 0
        self._busy_seconds = 0.0
        self._load = Load()

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
            lowered=self._lowered,
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

    def finish(self, reading: Reading[State]) -> bool:
        """`Reading.finish`; where memory is out, it counts as a pass of no new tokens."""
        try:
            return reading.finish()
        except MemoryError:
            needed = reading.computed
            self._load = Load(0, needed, self._cache.computed - needed)
            raise

    def relieve(self) -> bool:
        """Empty the cache after memory was out; False if nothing more can be done.

        Where the cache held more for other readings than the pass asked for, it may hold less from
        then on, else passes become half as large.
        """
        self._cache.clear()
        load, smallest = self._load, self._tokens_a_pass <= SMALLEST_PASS
        if load.others > (0 if smallest else load.new) and self._lower(load):
            return True
        if smallest or not load.new:
            return False
        self._tokens_a_pass = max(self._tokens_a_pass // 2, SMALLEST_PASS)
        self._halved += 1
        return True

    def _lower(self, load: Load) -> bool:
        lowered = self._cache.lower(int(HELD_AGAIN * load.all))
        self._lowered += lowered
        return lowered

    def _extend(self, planned: Pass[State]) -> None:
        self._load = self._load_of(planned)
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

    def _load_of(self, planned: Pass[State]) -> Load:
        new = sum(end - tree.held.computed for tree, end in planned.ends.items())
        needed = sum(reading.computed for reading in planned.readings[:1])
        return Load(new, needed, self._cache.computed - needed)

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
