"""The call log's seam: what a session reads and appends, wherever it is kept."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from ponder.types import NodePath


class CallKey(NamedTuple):
    """Names one call of an engine or verifier, the same in every process."""

    problem_id: str
    path: NodePath
    kind: Literal["sample", "score"]
    identity: str
    """`Capabilities.identity` or `VerifierInfo.identity`."""
    request: str
    """Hash of all that the answer depends on: prefix, sampling, seed."""


class CallRecord(NamedTuple):
    """The answer to one call, as it is kept."""

    content: bytes
    """JSON of the completion or of the scores."""
    failed: bool
    """A failure: answered from the log in a replay only, tried again by a resumed run."""


class CallLog(Protocol):
    """Finished calls by key: append only; a key's last record counts."""

    def get(self, key: CallKey) -> CallRecord | None:
        """The record under `key`, or None."""
        ...

    def put(self, key: CallKey, record: CallRecord) -> None:
        """Append; returns at once, the record is durable with its transaction."""
        ...
