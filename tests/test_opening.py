"""What is opened by its first use."""

from __future__ import annotations

import asyncio

import pytest

from ponder.errors import EngineError, UsageError, VerifierError, VerifierLostError
from ponder.verifiers.opening import OpenedOnce


async def test_it_is_opened_once_and_again_after_it_was_taken() -> None:
    opened: list[int] = []

    def open_it() -> int:
        opened.append(len(opened))
        return opened[-1]

    once = OpenedOnce(open_it)
    assert await once.take() is None
    async with asyncio.TaskGroup() as group:
        users = [group.create_task(once.get()) for _ in range(2)]
    assert [user.result() for user in users] == [0, 0]
    assert await once.take() == 0
    assert (await once.get(), once.opened) == (1, 1)


def test_what_was_opened_in_a_loop_that_is_closed_can_be_taken_in_another() -> None:
    once = OpenedOnce(lambda: "a model")
    assert asyncio.run(once.get()) == "a model"
    assert asyncio.run(once.take()) == "a model"


@pytest.mark.parametrize(
    "error", [VerifierError("no room"), EngineError("no room"), OSError("no room")]
)
async def test_what_cannot_be_opened_is_lost(error: Exception) -> None:
    def open_it() -> str:
        raise error

    once = OpenedOnce(open_it)
    for _ in range(2):
        with pytest.raises(VerifierLostError, match=r"^no room$"):
            await once.get()
    assert (once.opened, await once.take()) == (None, None)


async def test_a_mistake_of_the_user_is_named_as_it_is() -> None:
    def open_it() -> None:
        raise UsageError("`model` is not there")

    with pytest.raises(UsageError, match="`model` is not there"):
        await OpenedOnce(open_it).get()
