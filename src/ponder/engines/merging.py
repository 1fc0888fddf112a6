"""Runs several async generators at once and yields what comes, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def merged(
    sources: Sequence[AsyncGenerator[Item, None]],
) -> AsyncGenerator[Item, None]:
    """Yield the items of all sources in order of arrival.

    Closing it closes all sources before it returns. An exception in one ends the others.
    """
    arrived: asyncio.Queue[Item | asyncio.Task[None]] = asyncio.Queue()

    async def drain(source: AsyncGenerator[Item, None]) -> None:
        async with aclosing(source):
            async for item in source:
                arrived.put_nowait(item)

    tasks = [asyncio.create_task(drain(source)) for source in sources]
    for task in tasks:
        task.add_done_callback(arrived.put_nowait)
    try:
        running = len(tasks)
        while running:
            item = await arrived.get()
            if isinstance(item, asyncio.Task):
                item.result()
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
