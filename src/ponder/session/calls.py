"""How calls are named and kept in the call log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter

from ponder.encoding import fields_to_json, to_json
from ponder.store.base import CallRecord
from ponder.types import (
    Completion,
    NodePath,
    Prefix,
    Sampling,
    ScoreFailure,
    StepScores,
    Usage,
)

_HASH_LENGTH = 32


_COMPLETION = TypeAdapter(Completion)
_PLACE = frozenset(("index",))
"""What a record leaves out: the place in the call."""


def seed_of(run_seed: int, problem_id: str, path: NodePath) -> int:
    """The sample's own seed, 31 bits: never consecutive, the same for any n and any order."""
    content = f"[{_problem_seed(run_seed, problem_id)}, {list(path)}]"  # as JSON
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4]) >> 1


@lru_cache(maxsize=1024)
def _problem_seed(run_seed: int, problem_id: str) -> str:
    return f"{run_seed}, {json.dumps(problem_id)}"


def sample_requests(prefix: Prefix, sampling: Sampling) -> Callable[[int], str]:
    """From a sample's seed to the hash of all that it depends on besides the engine."""
    shared = hashlib.sha256(f'["{prefix.key.hex()}", {_settings(sampling)}, '.encode())

    def of(seed: int) -> str:
        own = shared.copy()
        own.update(f"{seed}]".encode())
        return own.hexdigest()[:_HASH_LENGTH]

    return of


def score_request(prefix: Prefix) -> str:
    """Hash of all that a score depends on besides the verifier."""
    content = f'["{prefix.key.hex()}"]'
    return hashlib.sha256(content.encode()).hexdigest()[:_HASH_LENGTH]


@lru_cache(maxsize=1024)
def _settings(sampling: Sampling) -> str:
    """As JSON; a search asks with few different ones."""
    return json.dumps(asdict(sampling), sort_keys=True)


def pack_completion(completion: Completion) -> CallRecord:
    """A completion as a record, without its place in the call."""
    content = fields_to_json(completion, _COMPLETION, _PLACE)
    return CallRecord(content, completion.error is not None)


def unpack_completion(record: CallRecord, index: int) -> Completion:
    """The completion of a record, at `index` of the call that asks for it now."""
    content = cast("dict[str, Any]", json.loads(record.content))
    for name in ("token_ids", "logprobs", "offsets"):
        if name in content:
            content[name] = tuple(content[name])
    usage = Usage(*content.pop("usage"))
    return Completion(index=index, usage=usage, **content)


def pack_scores(scores: StepScores | ScoreFailure) -> CallRecord:
    """Scores, or why there are none, as a record."""
    return CallRecord(to_json(scores._asdict()), isinstance(scores, ScoreFailure))


def unpack_scores(record: CallRecord) -> StepScores | ScoreFailure:
    """The scores of a record."""
    content = json.loads(record.content)
    if record.failed:
        return ScoreFailure(content["reason"])
    tokens = content["tokens"]
    return StepScores(tuple(content["scores"]), None if tokens is None else tuple(tokens))
