"""The ledger: no budget is exceeded, and no grant depends on what ends first."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.budget import MINIMUM_GRANT, Budget, Entry, Lane, Ledger, Prompt
from ponder.errors import UsageError
from ponder.types import NodePath


@dataclass
class Run:
    """Asks, and ends samples in a random order; a sample at `path` would like `length` tokens."""

    ledger: Ledger
    length: Callable[[NodePath], int]
    wants: int
    rng: random.Random
    running: dict[NodePath, Entry] = field(default_factory=dict)
    entries: dict[NodePath, Entry] = field(default_factory=dict)
    grants: dict[NodePath, int] = field(default_factory=dict)
    used: dict[NodePath, int] = field(default_factory=dict)

    def ask(self, path: NodePath, lane: Lane | None = None, prompt: Prompt | None = None) -> None:
        decided = partial(self.grants.__setitem__, path)
        self.entries[path] = self.ledger.request(
            path, self.wants, decided, lane=lane, prompt=prompt
        )

    def end_one(self) -> NodePath | None:
        """End one granted sample, chosen at random; None when all have ended."""
        ready = [p for p, grant in self.grants.items() if grant and p not in self.used]
        if not ready:
            return None
        path = self.rng.choice(sorted(ready))
        self.used[path] = min(self.length(path), self.grants[path])
        self.ledger.settle(self.entries[path], self.used[path])
        return path


def length_of(path: NodePath) -> int:
    return random.Random(str(path)).randint(1, 60)


def flat(budget: Budget, n: int, order: int) -> Run:
    run = Run(Ledger(budget), length_of, 60, random.Random(order))
    for index in range(n):
        run.ask((index,))
    while run.end_one() is not None:
        pass
    return run


def lanes(budget: Budget, count: int, width: int, depth: int, order: int) -> Run:
    """Lanes of `width` samples a depth, each going on when its own have ended."""
    run = Run(Ledger(budget), length_of, 60, random.Random(order))
    parts = run.ledger.fork(count, width, 60)
    waiting: list[set[NodePath]] = []
    paths: set[NodePath]
    for lane in parts:
        paths = {(lane.index * width + j,) for j in range(width)}
        for path in sorted(paths):
            run.ask(path, lane)
        waiting.append(paths)
    while any(lane.open for lane in parts):
        run.end_one()
        for lane, paths in zip(parts, waiting, strict=True):
            refused = {path for path in paths if run.grants.get(path) == 0}
            if not lane.open or not all(p in run.used or p in refused for p in paths):
                continue
            parent = min(paths)
            if refused == paths or len(parent) >= depth:
                run.ledger.close(lane)
                continue
            paths.clear()
            paths.update((*parent, j) for j in range(width))
            for path in sorted(paths):
                run.ask(path, lane)
    return run


@given(
    budget=st.integers(1, 800),
    n=st.integers(1, 24),
    orders=st.tuples(st.integers(), st.integers()),
)
def test_generated_tokens_never_exceed_and_grants_do_not_depend_on_order(
    budget: int, n: int, orders: tuple[int, int]
) -> None:
    runs = [flat(Budget(generated_tokens=budget), n, order) for order in orders]
    for run in runs:
        assert sum(run.used.values()) <= budget
        assert len(run.grants) == n
    assert runs[0].grants == runs[1].grants
    assert runs[0].used == runs[1].used


@given(
    budget=st.integers(1, 2000),
    count=st.integers(1, 5),
    width=st.integers(1, 4),
    depth=st.integers(1, 5),
    orders=st.tuples(st.integers(), st.integers()),
)
def test_lanes_that_never_wait_share_one_order(
    budget: int, count: int, width: int, depth: int, orders: tuple[int, int]
) -> None:
    limit = Budget(generated_tokens=budget, generations=count * width * depth - 1 or 1)
    runs = [lanes(limit, count, width, depth, order) for order in orders]
    for run in runs:
        assert sum(run.used.values()) <= budget
        assert len(run.used) <= (limit.generations or 0)
    assert runs[0].grants == runs[1].grants


def test_grants_follow_the_rule() -> None:
    """Sample i is granted min(limit, budget - used by all before i)."""
    run = flat(Budget(generated_tokens=300), 20, 0)
    left = 300
    for index in range(20):
        expected = min(60, left) if left >= MINIMUM_GRANT else 0
        assert run.grants[(index,)] == expected
        left -= run.used.get((index,), 0)
    assert run.ledger.refused


def test_an_ample_budget_starts_everything_at_once() -> None:
    run = Run(Ledger(Budget(generated_tokens=600)), length_of, 60, random.Random(0))
    for index in range(12):
        run.ask((index,))
    assert [run.grants.get((i,)) for i in range(12)] == [60] * 10 + [None, None]


def test_without_limits_everything_is_granted_at_once() -> None:
    run = Run(Ledger(Budget(seconds=5)), length_of, 60, random.Random(0))
    for index in range(3):
        run.ask((index,))
    assert set(run.grants.values()) == {60}


def test_generations_count_in_order() -> None:
    run = flat(Budget(generations=5), 9, 3)
    assert [run.grants[(i,)] > 0 for i in range(9)] == [True] * 5 + [False] * 4


def test_a_short_wish_is_granted_below_the_minimum() -> None:
    ledger = Ledger(Budget(generated_tokens=5))
    grants: list[int] = []
    first = ledger.request((0,), 4, grants.append)
    ledger.request((1,), 4, grants.append)
    assert grants == [4]
    ledger.settle(first, 4)
    assert grants == [4, 0]


def test_total_tokens_count_prompt_and_verifier_once() -> None:
    run = Run(Ledger(Budget(total_tokens=400)), lambda _: 50, 60, random.Random(0))
    prompt = Prompt("question", 120)
    run.ask((0,), prompt=prompt)
    run.ask((1,), prompt=prompt)
    assert run.grants == {(0,): 60, (1,): 60}
    run.ledger.settle(run.entries[(0,)], 50, prompt_tokens=30)
    run.ledger.settle(run.entries[(1,)], 50, prompt_tokens=30)
    run.ledger.charge(1, 200)
    run.ask((0, 0))
    run.ask((0, 1))
    assert run.grants[(0, 0)] == 60
    assert (0, 1) not in run.grants  # 10 at worst, 70 at best
    run.ledger.settle(run.entries[(0, 0)], 60)
    assert run.grants[(0, 1)] == 0


def test_a_prompt_counts_with_the_first_sample_that_tells_its_tokens() -> None:
    run = Run(Ledger(Budget(total_tokens=200)), lambda _: 50, 60, random.Random(0))
    prompt = Prompt("question", 100)
    for index in range(3):
        run.ask((index,), prompt=prompt)
    assert run.grants == {(0,): 60}
    run.ledger.settle(run.entries[(0,)], 0)  # it failed and told nothing: 100 stay set aside
    assert run.grants == {(0,): 60, (1,): 60}
    run.ledger.settle(run.entries[(1,)], 60, prompt_tokens=90)
    assert run.grants[(2,)] == 50


def test_what_a_refused_sample_would_have_started_from_still_counts() -> None:
    run = Run(Ledger(Budget(total_tokens=60)), lambda _: 50, 60, random.Random(0))
    for index in range(3):
        run.ask((index,), prompt=Prompt("question", 100))
    assert run.grants == {(0,): 0, (1,): 0, (2,): 0}


def test_total_tokens_wait_for_the_lanes_above() -> None:
    run = Run(Ledger(Budget(total_tokens=10_000)), lambda _: 50, 60, random.Random(0))
    first, second = run.ledger.fork(2, 1, 60)
    run.ask((0,), first)
    run.ask((1,), second)
    run.ledger.settle(run.entries[(1,)], 50)
    run.ask((1, 0), second)
    assert (1, 0) not in run.grants
    run.ledger.close(first)
    run.ledger.settle(run.entries[(0,)], 50)
    assert run.grants[(1, 0)] == 60


def test_total_tokens_wait_for_what_other_lanes_cost_to_score() -> None:
    """They have asked for all that they may ask for above; the last of it is still being scored."""
    run = Run(Ledger(Budget(total_tokens=600)), lambda _: 20, 60, random.Random(0))
    first, second = run.ledger.fork(2, 2, 60)
    for path, lane in (((0,), first), ((1,), first), ((2,), second), ((3,), second)):
        run.ask(path, lane)
    for entry in list(run.entries.values()):
        run.ledger.settle(entry, 100)
    run.ledger.charge(1, 100)
    run.ask((0, 0), first)
    assert (0, 0) not in run.grants
    run.ledger.charge(1, 80)
    run.ask((2, 0), second)  # it has its scores, and goes on
    assert run.grants[(0, 0)] == 20


def test_what_a_depth_cost_to_score_counts_before_what_is_asked_for_there_later() -> None:
    """In the search's own lane, and before lanes that begin later; not between these."""
    ledger = Ledger(Budget(total_tokens=300))
    run = Run(ledger, lambda _: 50, 60, random.Random(0))
    run.ask((0,))
    ledger.settle(run.entries[(0,)], 50)
    ledger.charge(1, 100)
    first, second = ledger.fork(2, 1, 60)
    run.ask((1,), first)
    ledger.settle(run.entries[(1,)], 50)
    ledger.charge(1, 60)
    run.ask((3,), second)
    assert run.grants[(3,)] == 60
    ledger.settle(run.entries[(3,)], 20)
    for lane in (first, second):
        ledger.close(lane)
    run.ask((4,))
    assert run.grants[(4,)] == 20


@pytest.mark.parametrize("path", [(0,), (1,)])
def test_a_lane_never_goes_back(path: NodePath) -> None:
    ledger = Ledger(Budget())
    ledger.request((1,), 10, lambda _: None)
    with pytest.raises(ValueError, match="asked for first"):
        ledger.request(path, 10, lambda _: None)


def test_a_lane_keeps_its_width() -> None:
    ledger = Ledger(Budget())
    (lane,) = ledger.fork(1, 1, 10)
    ledger.request((0,), 10, lambda _: None, lane=lane)
    with pytest.raises(ValueError, match="width 1"):
        ledger.request((1,), 10, lambda _: None, lane=lane)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokens=5", "unknown budget 'tokens': use one of generations"),
        ("generations=many", "`generations` must be a whole number, got 'many'"),
        ("seconds=soon", "`seconds` must be a number, got 'soon'"),
        ("total_tokens=0", "`total_tokens` must be over 0, got 0"),
    ],
)
def test_a_bad_budget_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Budget.parse([text])


def test_budgets_are_read_from_words() -> None:
    assert Budget.parse(["generations=4", "seconds=1.5"]) == Budget(generations=4, seconds=1.5)
    assert not Budget.parse(["seconds=1"]).counts
