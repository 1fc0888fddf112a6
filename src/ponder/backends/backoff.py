"""How long to wait before a request is repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter, in seconds; a server's `Retry-After` goes before them."""

    attempts: int = 5
    """Requests in all, the first included."""
    first: float = 0.5
    """Upper bound of the first wait; each further one doubles it."""
    longest: float = 60.0
    """No wait is longer; a server that asks for more is given up on at once."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"`attempts` must be at least 1, got {self.attempts}")

    def wait(self, attempt: int, retry_after: str | None, jitter: random.Random) -> float | None:
        """Seconds to wait after failed `attempt` (from 0 on), or None to give up.

        Between half the bound and the bound, so that clients that failed together come back apart
        and none at once; after a `Retry-After` never earlier than told.
        """
        if attempt + 1 >= self.attempts:
            return None
        told = retry_after_seconds(retry_after)
        bound = min(self.longest, self.first * 2.0**attempt)
        if told is None:
            return bound * jitter.uniform(0.5, 1.0)
        return None if told > self.longest else told + self.first * jitter.uniform(0.0, 0.5)


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for, given as a number or a date (RFC 9110, 10.2.3).

    None if absent or unreadable; never below 0.
    """
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - (now or datetime.now(UTC))).total_seconds())
