"""The one HTTP client: time-outs, retries and the API key, for every engine and verifier.

Retries live here and nowhere else, because only this layer knows whether anything of an answer
has been received: a request is repeated only while nothing has.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import httpx

from ponder.backends.backoff import Backoff
from ponder.backends.http_access import KeyFromEnvironment, certificates, checked_url
from ponder.backends.http_errors import (
    BUSY_STATUSES,
    UNAUTHORIZED,
    RequestError,
    TransientError,
    failure_of,
)
from ponder.errors import UsageError

JsonObject = dict[str, object]
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A return at the end may be the first half of an end that the next chunk completes."""
_START_IT = "start it, or name another with `--base-url`, for a verifier with its knob `base_url`"

Received = TypeVar("Received")


class HttpClient:
    """JSON over HTTP to one server.

    `timeout` is the longest wait, in seconds, for the next piece of an answer; keep-alive comments
    do not count as one. A request that timed out is not repeated: it may still be running there.
    Paths go under the base URL; one with a leading slash goes beside its `/v1`, where servers keep
    what is not OpenAI's. The API key is read from the environment variable `api_key_env` at each
    request, and kept nowhere. `on_busy` is called at each 429 and 503, so that the caller can ask
    for less at once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
        backoff: Backoff | None = None,
        jitter: random.Random | None = None,
        on_busy: Callable[[], None] | None = None,
    ) -> None:
        if not 0 < timeout < math.inf:
            raise UsageError(f"`timeout` must be over 0 seconds, got {timeout}")
        self.base_url = checked_url(base_url)
        self.on_busy = on_busy
        self.retried = 0
        """Requests that were repeated so far."""
        self._timeout = timeout
        self._backoff = Backoff() if backoff is None else backoff
        self._jitter = random.Random() if jitter is None else jitter  # noqa: S311 - no secret
        self._key = KeyFromEnvironment(api_key_env)
        self._client = httpx.AsyncClient(
            auth=self._key,
            # Silence is timed here, event by event; httpx times only the way there.
            timeout=httpx.Timeout(None, connect=min(timeout, 10.0)),
            limits=httpx.Limits(max_connections=None),
            verify=certificates(self.base_url),
        )

    def __repr__(self) -> str:
        return f"HttpClient({self.base_url!r})"

    async def get(self, path: str) -> JsonObject:
        """The JSON object at `path`. Raises RequestError."""
        return await self._whole("GET", path, None)

    async def post(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """The JSON object that answers `body`. Raises RequestError."""
        return await self._whole("POST", path, body)

    async def stream(
        self, path: str, body: Mapping[str, object] | None, method: str = "POST"
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the server-sent events that answer `body`, or the one object of a plain answer.

        Closing the generator closes the connection, which frees what the server still runs for
        it. Raises RequestError; nothing is repeated after a first event.
        """
        for attempt in range(self._backoff.attempts):
            received = False
            try:
                async with aclosing(self._attempt(method, path, body)) as events:
                    async for event in events:
                        received = True
                        yield event
                return
            except TransientError as failure:
                wait = self._wait(attempt, failure)
                if received or wait is None:
                    raise failure.for_good() from failure
            self.retried += 1
            await asyncio.sleep(wait)

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        await self._client.aclose()

    async def _whole(self, method: str, path: str, body: Mapping[str, object] | None) -> JsonObject:
        async with aclosing(self.stream(path, body, method)) as events:
            async for event in events:
                return event
        raise RequestError(f"{self._url(path)}: the answer is empty")

    def _wait(self, attempt: int, failure: TransientError) -> float | None:
        if failure.status in BUSY_STATUSES and self.on_busy is not None:
            self.on_busy()
        return self._backoff.wait(attempt, failure.retry_after, self._jitter)

    async def _attempt(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> AsyncGenerator[JsonObject, None]:
        async with self._opened(method, path, body) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                yield _parsed(await self._timed(response.aread()))
                return
            lines = _lines(response.aiter_bytes())
            while (data := await self._timed(_next_data(lines))) is not None:
                event = _parsed(data)
                if event.get("error"):
                    raise RequestError(failure_of(data.encode()))
                yield event

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> AsyncIterator[httpx.Response]:
        """The checked response, not read yet; every failure inside is told with its address."""
        url = self._url(path)
        response: httpx.Response | None = None
        try:
            request = self._client.build_request(method, url, json=body)
            response = await self._timed(self._client.send(request, stream=True))
            await self._check(response)
            yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as lost:
            if "SSL" in str(lost):  # a server is there, and shows a certificate
                raise TransientError(f"{url}: {_named(lost)}") from lost
            raise TransientError(f"{url}: no server there ({_named(lost)}): {_START_IT}") from lost
        except (httpx.NetworkError, httpx.RemoteProtocolError) as lost:
            raise TransientError(f"{url}: {_named(lost)}") from lost
        except httpx.HTTPError as failure:
            raise RequestError(f"{url}: {_named(failure)}") from failure
        except TimeoutError as late:
            raise RequestError(f"{url}: nothing came for {self._timeout:g} s") from late
        except UnicodeEncodeError as failure:
            reason = "the request holds half of a surrogate pair, which cannot be sent"
            raise RequestError(f"{url}: {reason}") from failure
        except RequestError as failure:
            failure.args = (f"{url}: {self._key.hidden_in(str(failure))}",)
            raise
        finally:
            if response is not None:
                await response.aclose()

    async def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        reason = failure_of(await self._timed(response.aread()))
        message, status = f"status {response.status_code}: {reason}", response.status_code
        if status in BUSY_STATUSES or response.is_server_error:
            raise TransientError(message, status, response.headers.get("retry-after"))
        if status == UNAUTHORIZED:
            message = f"{message}; {self._key.mend()}"
        raise RequestError(message, status)

    async def _timed(self, awaitable: Awaitable[Received]) -> Received:
        async with asyncio.timeout(self._timeout):
            return await awaitable

    def _url(self, path: str) -> str:
        beside = path.startswith("/")
        return self.base_url.removesuffix("/v1") + path if beside else f"{self.base_url}/{path}"


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines as server-sent events have them: other signs that end lines are part of the text."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode(errors="replace")
    yield rest.decode(errors="replace")


async def _next_data(lines: AsyncIterator[str]) -> str | None:
    """The data of the next server-sent event; None at the end of the stream."""
    async for line in lines:
        name, _, data = line.partition(":")
        if name == "data" and (content := data.strip()):
            return None if content == "[DONE]" else content
    return None


def _parsed(data: str | bytes) -> JsonObject:
    try:
        parsed = json.loads(data)
    except ValueError as failure:
        raise RequestError("the answer is not JSON; is this the API's address?") from failure
    if not isinstance(parsed, dict):
        raise RequestError(f"the answer is not a JSON object but a {type(parsed).__name__}")
    return parsed


def _named(failure: Exception) -> str:
    """The failure's text, or its kind where it has none."""
    return str(failure) or type(failure).__name__
