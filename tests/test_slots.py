"""Slots: the oldest problem first, never more than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ponder.session import Slots


async def test_what_is_free_is_given_at_once() -> None:
    slots = Slots(3)
    assert await slots.acquire(0, 2) == 2
    assert await slots.acquire(1, 5) == 1
    assert slots.free == 0


async def test_the_oldest_waiter_is_served_first() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    order: list[tuple[int, int]] = []

    async def wait(rank: int, arrival: int) -> None:
        await slots.acquire(rank, 1)
        order.append((rank, arrival))
        slots.release()

    waits = [wait(rank, arrival) for arrival, rank in enumerate((5, 2, 9, 2))]
    tasks = [asyncio.create_task(each) for each in waits]
    await asyncio.sleep(0)
    slots.release()
    await asyncio.wait(tasks)
    assert order == [(2, 1), (2, 3), (5, 0), (9, 2)]
    assert slots.free == 1


async def test_a_cancelled_waiter_gives_back_what_it_was_given() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    waiter = asyncio.create_task(slots.acquire(1, 1))
    gone = asyncio.create_task(slots.acquire(1, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    slots.release()
    await asyncio.sleep(0)  # the first waiter has it now, and does not know yet
    waiter.cancel()
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert slots.free == 1


async def test_a_waiter_who_leaves_as_a_slot_comes_free_is_passed_over() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    waiter = asyncio.create_task(slots.acquire(1, 1))
    await asyncio.sleep(0)
    slots.release()
    waiter.cancel()
    await asyncio.wait([waiter])
    assert slots.free == 1


async def test_slots_that_come_free_together_are_handed_on_together() -> None:
    slots = Slots(4)
    await slots.acquire(0, 4)
    first = asyncio.create_task(slots.acquire(1, 2))
    second = asyncio.create_task(slots.acquire(2, 4))
    await asyncio.sleep(0)
    for _ in range(3):
        slots.release()
    assert (await first, await second) == (2, 1)


async def test_a_smaller_limit_holds_from_the_next_release_on() -> None:
    slots = Slots(4)
    await slots.acquire(0, 4)
    slots.resize(2)
    assert slots.limit == 2
    slots.release(2)
    assert slots.free == 0
    slots.release()
    assert slots.free == 1
    slots.resize(0)
    assert slots.limit == 1


async def test_a_larger_limit_serves_who_waits() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    waiter = asyncio.create_task(slots.acquire(0, 3))
    await asyncio.sleep(0)
    slots.resize(3)
    assert await waiter == 2


async def test_vacancy_comes_after_everyone_who_waits() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    vacancy = asyncio.create_task(slots.vacancy())
    waiter = asyncio.create_task(slots.acquire(7, 1))
    await asyncio.sleep(0)
    slots.release()
    await waiter
    assert not vacancy.done()
    slots.release()
    await vacancy
    assert slots.free == 1


async def test_asked_waits_for_the_first_wish_or_the_end() -> None:
    slots = Slots(2)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asked = asyncio.create_task(slots.asked(3, never))
    await asyncio.sleep(0)
    await slots.acquire(4, 1)
    await asyncio.sleep(0)
    assert not asked.done()
    await slots.acquire(3, 1)
    await asked
    scoring = asyncio.create_task(slots.asked(6, never))  # all its samples are in the log
    await asyncio.sleep(0)
    assert not scoring.done()
    with slots.unscored(6, 1):
        await scoring
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    await slots.asked(5, done)
    never.cancel()


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="`limit` must be at least 1, got 0"):
        Slots(0)


async def test_a_busy_server_halves_the_limit_once_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    slots = Slots(15)
    assert await slots.acquire(0, 15) == 15
    for _ in range(15):  # all that runs is refused at once
        slots.busy()
    assert slots.limit == 7
    now[0] += 1
    slots.busy()
    assert slots.limit == 7, "more runs than is allowed now"
    slots.release(8)
    slots.busy()
    assert slots.limit == 3
    slots.release(4)
    slots.busy()
    assert slots.limit == 3, "of the same moment"


async def test_each_quiet_second_allows_one_more_up_to_what_there_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    limits: list[int] = []

    def called_soon(seconds: float, recover: Callable[[], None]) -> asyncio.Handle:
        waits.append(seconds)
        return loop.call_soon(recover)

    slots = Slots(7)
    monkeypatch.setattr(loop, "call_later", called_soon)
    slots.busy()
    slots.busy()  # the quiet second begins anew
    for _ in range(6):
        limits.append(slots.limit)
        await asyncio.sleep(0)
    assert limits == [3, 4, 5, 6, 7, 7]
    assert set(waits) == {1.0}


async def test_no_problem_is_opened_while_a_verifier_is_behind() -> None:
    """Four prefixes a slot may wait; open problems are not held up."""
    slots = Slots(2)
    with slots.unscored(0, 7):
        await asyncio.wait_for(slots.vacancy(), 1)
        with slots.unscored(0, 1):
            opening = asyncio.create_task(slots.vacancy())
            await asyncio.sleep(0.01)
            assert not opening.done()
            assert await slots.acquire(0, 2) == 2
            slots.release(2)
        await asyncio.wait_for(opening, 1)
    assert slots.free == 2


async def test_no_problem_is_opened_when_a_verifier_falls_behind_as_a_slot_comes_free() -> None:
    slots = Slots(1)
    await slots.acquire(0, 1)
    opening = asyncio.create_task(slots.vacancy())
    await asyncio.sleep(0)  # the verifier is not behind: what it waits for is the slot
    with slots.unscored(0, 4):
        slots.release()
        await asyncio.sleep(0.01)
        assert not opening.done()
        assert slots.free == 1
    await asyncio.wait_for(opening, 1)
