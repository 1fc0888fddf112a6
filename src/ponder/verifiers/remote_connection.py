"""One server of a remote verifier: a bound on its requests over the one HTTP client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ponder.backends.backoff import Backoff
from ponder.backends.http import HttpClient, JsonObject
from ponder.backends.http_access import api_url
from ponder.errors import PonderError, UsageError

Answer = TypeVar("Answer")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class RemoteConnection:
    """Posts JSON to one server, at most `concurrency` requests at once.

    Nothing is connected before the first request; after `aclose` the next one connects again.
    Raises UsageError for knobs that cannot be used.
    """

    base_url: str
    """As for OpenAI's own clients; `/v1` is added to a bare host."""
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 32
    timeout: float = 120.0
    """The longest silence of the server, in seconds."""
    backoff: Backoff | None = None
    """None: the HTTP client's own."""
    _opened: tuple[HttpClient, asyncio.Semaphore] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise UsageError(f"`concurrency` must be at least 1, got {self.concurrency}")
        if not self.timeout > 0:
            raise UsageError(f"`timeout` must be over 0 seconds, got {self.timeout}")
        self.base_url = api_url(self.base_url)

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        """The object that answers `body`; a path with a leading slash goes beside `/v1`.

        Raises RequestError.
        """
        if self._opened is None:
            http = HttpClient(
                self.base_url,
                api_key_env=self.api_key_env,
                timeout=self.timeout,
                backoff=self.backoff,
            )
            self._opened = http, asyncio.Semaphore(self.concurrency)
        http, places = self._opened
        async with places:
            return await http.post(path, body)

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].aclose()


def sendable(text: str) -> str:
    """The text with each lone surrogate replaced: JSON in UTF-8 cannot carry one."""
    return _LONE_SURROGATE.sub("\ufffd", text)


async def all_answers(requests: Sequence[Coroutine[None, None, Answer]]) -> list[Answer]:
    """Run all at once, and end the others when one fails; raises the first failure alone.

    A bug goes before a failed request.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(request) for request in requests]
    except BaseExceptionGroup as failures:
        ranked = sorted(failures.exceptions, key=lambda one: isinstance(one, PonderError))
        raise ranked[0] from failures
    return [task.result() for task in tasks]
