"""What can go wrong with a request, told in one line."""

from __future__ import annotations

import json

from ponder.errors import PonderError

BUSY_STATUSES = (429, 503)
"""What a server answers that has too much to do."""
UNAUTHORIZED = 401
"""What a server answers without a key that it knows."""
PASSING_STATUSES = (*BUSY_STATUSES, 502, 504)
"""These, and what a gateway answers whose server is away or late."""

LONGEST_REASON = 300
"""Characters of a server's own words that an error repeats."""


class RequestError(PonderError):
    """A request failed for good; the message names the address and the server's reason."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, if one was received."""


class PassingError(RequestError):
    """A request that failed however often, for a reason of the moment.

    The server is busy, or away behind its gateway: it says nothing of what the server can do.
    """


class TransientError(RequestError):
    """A failure that may pass: 429, 5xx or a lost connection. Never leaves the HTTP client."""

    def __init__(
        self, message: str, status: int | None = None, retry_after: str | None = None
    ) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after
        """The `Retry-After` header as it came."""

    def for_good(self) -> RequestError:
        """What it is when it is not tried again: any other status may be the last word."""
        kind = PassingError if self.status in PASSING_STATUSES else RequestError
        return kind(str(self), self.status)


def failure_of(body: bytes) -> str:
    """The server's reason in one line: OpenAI's, FastAPI's or Ollama's layout, else its text."""
    reason = _reason(_decoded(body))
    line = " ".join(reason.split())
    return line[:LONGEST_REASON] or "no reason given"


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _reason(content: object) -> str:
    if isinstance(content, dict):
        for name in ("error", "message", "detail"):
            if content.get(name):
                return _reason(content[name])
    return content if isinstance(content, str) else json.dumps(content)
