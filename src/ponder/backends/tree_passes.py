"""Which tokens of which trees go into a model's next pass, and which trees stay in its cache."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from ponder.backends.prefix_tree import Growth, State, TreeModel
from ponder.backends.problem_tree import ProblemTree, Reading
from ponder.types import Problem

MASK_CELLS = 1 << 27
"""The most cells of one tree's mask in one pass: a large tree takes smaller bites."""
SMALLEST_PASS = 16
"""Tokens; a pass that is out of memory is not cut further."""


@dataclass(slots=True)
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
    """The trees of all problems in flight, and the passes that make them grow.

    A tree belongs to the problem object and goes with it. `tree` may be called from any thread,
    all else from one.
    """

    def __init__(self, model: TreeModel[State], tokens_a_pass: int, cache_tokens: int) -> None:
        self.counts = ReadCounts()
        self._model = model
        self._tokens_a_pass = tokens_a_pass
        self._cache_tokens = cache_tokens
        self._trees: dict[int, ProblemTree[State]] = {}
        self._uses = 0

    def tree(self, problem: Problem) -> ProblemTree[State]:
        """The tree of this very object, whatever other problem equals it."""
        key = id(problem)
        found = self._trees.get(key)
        if found is None:
            found = self._trees.setdefault(key, ProblemTree())
            weakref.finalize(problem, self._trees.pop, key, None).atexit = False
        return found

    def plan(self, waiting: Sequence[Reading[State]]) -> Pass[State]:
        """Admit readings, oldest first, until a pass is full or the cache has no room."""
        planned: Pass[State] = Pass({}, [])
        room = self._tokens_a_pass
        for reading in waiting:
            if room <= 0 or not self._admit(reading):
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
        self.counts.halved += 1
        self.clear()
        return True

    def clear(self) -> None:
        """Empty the cache."""
        for tree in list(self._trees.values()):
            tree.drop()

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
            self.counts.busy_seconds += time.perf_counter() - started
        for tree, (_, growth), rows in zip(planned.ends, asked, outputs, strict=True):
            tree.keep(growth, rows)

    def _count(self, asked: Sequence[tuple[State, Growth]]) -> None:
        held = sum(tree.held.computed for tree in list(self._trees.values()))
        self.counts.peak_cache_tokens = max(self.counts.peak_cache_tokens, held)
        self.counts.passes += 1
        self.counts.computed += sum(len(growth.token_ids) for _, growth in asked)

    def _admit(self, reading: Reading[State]) -> bool:
        """Give a reading its slots, unless the cache must first be left by others."""
        tree = reading.tree
        self._uses += 1
        tree.used = self._uses
        if reading.admitted:
            return True
        if not self._make_room(tree, reading.token_ids):
            return False
        known = tree.distinct
        reading.admit()
        self.counts.distinct += tree.distinct - known
        return True

    def _make_room(self, tree: ProblemTree[State], token_ids: Sequence[int]) -> bool:
        """Drop trees, least recently used first, until the cache has room for a sequence.

        A sequence that is longer than the whole cache has room when nothing else is under way.
        """
        if not tree.under_way and len(tree.held) + tree.held.new(token_ids) > self._cache_tokens:
            self._drop(tree)
        new = tree.held.new(token_ids)
        trees = list(self._trees.values())
        idle = [other for other in trees if not other.under_way and other is not tree]
        idle.sort(key=lambda other: other.used, reverse=True)
        while new and sum(len(other.held) for other in trees) + new > self._cache_tokens:
            if not idle:
                return not any(other.under_way for other in trees)
            self._drop(idle.pop())
        return True

    def _drop(self, tree: ProblemTree[State]) -> None:
        self.counts.dropped += bool(len(tree.held))
        tree.drop()


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
