"""A prefix's steps as token ids: what one tokenizer drew stays as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from ponder.types import Prefix, Step

Encode = Callable[[str], Awaitable[Sequence[int]]]


class Rendered(NamedTuple):
    """A conversation as a model reads it, up to where its answer begins."""

    text: str
    ids: tuple[int, ...]


class PrefixIds(NamedTuple):
    """A prefix as a model reads it."""

    ids: tuple[int, ...]
    start: int
    """Where in `ids` the steps begin."""
    retokenised: bool
    """Steps with ids of another tokenizer were handed over as text."""


async def prefix_ids(
    opening: Sequence[int], prefix: Prefix, fingerprint: str | None, encode: Encode
) -> PrefixIds:
    """The ids of `opening`, the rendered conversation, and of the steps after it.

    A step without ids of the tokenizer named by `fingerprint` is encoded, by itself.
    """
    ids = list(opening)
    for step in prefix.steps:
        own = step.token_ids if step.tokenizer == fingerprint else None
        ids += await encode(step.text) if own is None else own
    return PrefixIds(tuple(ids), len(opening), has_foreign_ids(prefix, fingerprint))


def has_foreign_ids(prefix: Prefix, fingerprint: str | None) -> bool:
    """Whether a step has ids, of another tokenizer, that cannot be handed over."""
    return any(_foreign(step, fingerprint) for step in prefix.steps)


def _foreign(step: Step, fingerprint: str | None) -> bool:
    return step.token_ids is not None and (fingerprint is None or step.tokenizer != fingerprint)
