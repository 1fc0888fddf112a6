"""The way to a server: its address, its certificates, and the key that opens it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Generator
from typing import Final

import httpx

from ponder.errors import UsageError

LAST_PORT: Final = 65535


class KeyFromEnvironment(httpx.Auth):
    """Adds the API key to a request, if the environment has one, and knows to hide it."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Raises UsageError for a key that no header can hold, without telling it."""
        if key := self._key():
            if not (key.isascii() and key.isprintable()):
                raise UsageError(f"the key in {self._variable} has characters that no key can have")
            request.headers["Authorization"] = f"Bearer {key}"
        yield request

    def mend(self) -> str:
        """What to do where the server refuses the key."""
        if self._key():
            return f"the server refuses the key in {self._variable}: set it to another one"
        return f"set {self._variable} to the server's key"

    def hidden_in(self, text: str) -> str:
        """The text with the key starred out: some servers repeat it in their errors."""
        key = self._key()
        return text.replace(key, "***") if key else text

    def _key(self) -> str:
        return os.environ.get(self._variable, "").strip()


def certificates(url: str) -> ssl.SSLContext:
    """The authorities to trust: none for plain http, which saves the 50 ms of loading them."""
    if url.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def checked_url(base_url: str) -> str:
    """`base_url` without a trailing slash. Raises UsageError unless it is plain http or https."""
    try:
        url = httpx.URL(base_url.rstrip("/"))
    except httpx.InvalidURL as invalid:
        raise UsageError(f"not a URL: {base_url!r}: {invalid}") from invalid
    if url.userinfo or url.query:
        raise UsageError("a URL with a password or query: put the key in the environment instead")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"not an http(s) URL: {base_url!r}, as in http://localhost:8000/v1")
    if url.port is not None and not 0 < url.port <= LAST_PORT:
        raise UsageError(f"a port is a number from 1 to {LAST_PORT}, got {base_url!r}")
    return str(url)


def api_url(base_url: str) -> str:
    """The checked URL, with `/v1` where it names only a host, as OpenAI's own clients want it."""
    url = checked_url(base_url)
    return url if httpx.URL(url).path.strip("/") else f"{url}/v1"
