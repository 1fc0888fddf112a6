"""Sends one request and feeds its stream to a reader for each sample."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ponder.backends.http import HttpClient, JsonObject
from ponder.engines.openai.reader import Reader
from ponder.engines.openai.wire import Chunk
from ponder.types import Usage


async def draw(
    http: HttpClient, path: str, body: JsonObject, readers: Sequence[Reader]
) -> AsyncGenerator[tuple[Reader, Usage], None]:
    """Yield each reader once its sample has ended, and what the server tells that it cost.

    `readers` stand in the order of the request's choices. When all have ended by what they found
    themselves, the connection is closed, which stops the server. A sample alone waits for the
    usage, which comes last; several end one by one, and then their shares of it are not told.
    Readers that the server never ended are yielded when the stream is over. Raises RequestError.
    """
    left = dict(enumerate(readers))
    told = Usage()
    async with aclosing(http.stream(path, body)) as events:
        async for event in events:
            chunk = Chunk.read(event)
            told = _newest(told, chunk.spent())
            for choice in chunk.choices:
                if (reader := left.get(choice.index)) is not None:
                    reader.feed(choice)
            if len(readers) > 1:
                for at in [at for at, reader in left.items() if reader.ended]:
                    yield left.pop(at), told._replace(generated=None)
            if all(reader.cut is not None for reader in left.values()):
                break
    for reader in left.values():
        yield reader, told if len(readers) == 1 else told._replace(generated=None)


def _newest(known: Usage, more: Usage) -> Usage:
    """Each number as it was told last."""
    pairs = zip(known, more, strict=True)
    return Usage(*(old if new is None else new for old, new in pairs))
