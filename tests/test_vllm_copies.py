"""Under data parallelism, problems stay with a copy of the model and no copy idles."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from random import Random
from types import SimpleNamespace

import pytest

from ponder.engines.vllm.copies import TOGETHER, Copies
from ponder.engines.vllm.model import slots_of_a_copy


def test_a_small_problem_stays_on_one_copy() -> None:
    copies = Copies(4, room=256)
    with ExitStack() as running:
        taken = {running.enter_context(copies.one("p1")) for _ in range(TOGETHER)}
        assert len(taken) == 1
        assert running.enter_context(copies.one("p1")) not in taken


def test_problems_start_on_all_copies() -> None:
    copies = Copies(4, room=256)
    homes = set()
    for number in range(100):
        with copies.one(f"p{number}") as copy:
            homes.add(copy)
    assert homes == {0, 1, 2, 3}


@pytest.mark.parametrize("samples", [300, 700, 1024])
def test_one_large_problem_is_spread_evenly(samples: int) -> None:
    copies = Copies(4, room=256)
    with ExitStack() as running:
        taken = [running.enter_context(copies.one("p1")) for _ in range(samples)]
    counts = [taken.count(copy) for copy in range(4)]
    assert max(counts) <= min(256, 1.25 * samples / 4 + 1)


@pytest.mark.parametrize("n", [4, 64, 1024])
def test_full_slots_fill_every_copy(n: int) -> None:
    """Samples end in any order and the next problem's take their places, as in a run."""
    random, copies = Random(n), Copies(8, room=64)
    running: list[tuple[int, AbstractContextManager[int]]] = []
    begun = 0
    while begun < 6_000:
        while len(running) < 8 * 64:
            place = copies.one(f"p{begun // n}")
            running.append((place.__enter__(), place))
            begun += 1
        held = [copy for copy, _ in running]
        assert {held.count(copy) for copy in range(8)} == {64}
        for _ in range(random.randint(1, 40)):
            running.pop(random.randrange(len(running)))[1].__exit__(None, None, None)


def test_more_samples_than_there_is_room_for_wait_evenly() -> None:
    copies = Copies(2, room=8)
    with ExitStack() as running:
        taken = [running.enter_context(copies.one("p1")) for _ in range(20)]
    assert sorted((taken.count(0), taken.count(1))) == [10, 10]


def test_a_sample_that_fails_gives_its_place_back() -> None:
    copies = Copies(2, room=1)
    with pytest.raises(ZeroDivisionError), copies.one("p1") as first:
        raise ZeroDivisionError
    with copies.one("p1") as again:
        assert again == first


@pytest.mark.parametrize(
    ("tokens", "room", "slots"),
    [(40_000, 8192, 19), (None, 8192, 19), (40_000, 100, 256), (9_000, 1000, 9), (10, 8192, 1)],
)
def test_a_cache_that_binds_is_counted_for_one_copy(
    tokens: int | None, room: int, slots: int
) -> None:
    """vLLM adds up the blocks of all copies, and tells the tokens of one."""
    cache = SimpleNamespace(kv_cache_size_tokens=tokens, num_gpu_blocks=4 * 2500, block_size=16)
    config = SimpleNamespace(cache_config=cache, scheduler_config=SimpleNamespace(max_num_seqs=256))
    assert slots_of_a_copy(config, room, copies=4) == slots
