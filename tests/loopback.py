"""A bare HTTP server on loopback, for fakes that misbehave in ways that no framework allows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

Json = dict[str, object]


class Connection:
    """Writes one response."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def json(
        self, content: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps(content).encode()
        await self.raw(body, "application/json", status, headers)

    async def raw(
        self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        fields = {"content-type": kind, "content-length": str(len(body)), **(headers or {})}
        await self._send(self._head(status, fields) + body)

    async def start(self) -> None:
        fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        await self._send(self._head(200, fields))

    async def event(self, content: object) -> None:
        await self.text(f"data: {json.dumps(content)}\n\n")

    async def text(self, text: str) -> None:
        data = text.encode()
        await self._send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def finish(self) -> None:
        await self.text("data: [DONE]\n\n")
        await self._send(b"0\r\n\r\n")

    async def _send(self, data: bytes) -> None:
        if self.reader.at_eof():
            raise ConnectionResetError("the client is gone")
        self.writer.write(data)
        await self.writer.drain()

    def _head(self, status: int, fields: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode()


Handler = Callable[[str, str, dict[str, str], Json, Connection], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncGenerator[str, None]:
    """The URL of a server that answers each request by `handler`, and then closes."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            parsed = json.loads(body) if body else {}
            await handler(method, path, headers, parsed, Connection(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in [*tasks]:
            task.cancel()
        if tasks:
            await asyncio.wait([*tasks])
