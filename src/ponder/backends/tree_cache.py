"""The trees of all problems in flight, and which of them leave the cache when it is full."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Generic

from ponder.backends.by_problem import ByProblem
from ponder.backends.prefix_tree import State
from ponder.backends.problem_tree import ProblemTree, Reading
from ponder.types import Problem


class TreeCache(Generic[State]):
    """Trees that hold at most `limit` tokens together; a single longer sequence excepted.

    A tree belongs to a problem object and goes with it. `tree` may be called from any thread, all
    else from one.
    """

    def __init__(self, limit: int) -> None:
        self.distinct = 0
        """Nodes of the prefix trees over all sequences admitted so far."""
        self.dropped = 0
        """Trees that left while their problem was alive."""
        self._limit = limit
        numbers = count()
        self._trees = ByProblem(lambda: ProblemTree[State](next(numbers)))
        self._filled: list[ProblemTree[State]] = []
        self._held = 0
        self._uses = 0

    @property
    def computed(self) -> int:
        """Tokens that have keys and values now."""
        return sum(tree.held.computed for tree in self._trees.values())

    def tree(self, problem: Problem) -> ProblemTree[State]:
        """The tree of this very object, whatever other problem equals it."""
        return self._trees.of(problem)

    def survey(self) -> None:
        """Look what is held now: problems may be gone since readings were last admitted."""
        self._filled = [tree for tree in self._trees.values() if len(tree.held)]
        self._held = sum(len(tree.held) for tree in self._filled)

    def admit(self, reading: Reading[State]) -> bool:
        """Give a reading its slots; False where others have to finish first."""
        tree = reading.tree
        self._uses += 1
        tree.used = self._uses
        if reading.admitted:
            return True
        if not self._make_room(tree, reading.token_ids):
            return False
        distinct, held = tree.distinct, len(tree.held)
        reading.admit()
        self.distinct += tree.distinct - distinct
        self._held += len(tree.held) - held
        return True

    def lower(self, limit: int) -> bool:
        """Hold at most `limit` tokens from now on; False if they are not fewer than before."""
        if not 0 < limit < self._limit:
            return False
        self._limit = limit
        return True

    def clear(self) -> None:
        """Drop all trees."""
        for tree in self._trees.values():
            tree.drop()

    def _make_room(self, tree: ProblemTree[State], token_ids: Sequence[int]) -> bool:
        """Drop trees that nothing reads, least recently used first, until a sequence fits in.

        A tree that is too large on its own is dropped itself. A sequence that is longer than the
        whole cache fits in when nothing else is under way.
        """
        if self._held + len(token_ids) <= self._limit:
            return True
        new = tree.held.new(token_ids)
        if new and not tree.under_way and len(tree.held) + new > self._limit:
            self._drop(tree)
            new = len(token_ids)
        idle = [other for other in self._filled if not other.under_way and other is not tree]
        idle.sort(key=lambda other: other.used, reverse=True)
        while new and self._held + new > self._limit:
            if not idle:
                return not any(other.under_way for other in [tree, *self._filled])
            self._drop(idle.pop())
        return True

    def _drop(self, tree: ProblemTree[State]) -> None:
        self.dropped += bool(len(tree.held))
        self._held -= len(tree.held)
        tree.drop()
