"""The seam to a language model: continue this prefix, once a seed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple, Protocol

from ponder.types import Completion, Prefix, Sampling


class Capabilities(NamedTuple):
    """What an engine is and can do."""

    identity: str
    """Model and weights, as in the call log's key."""
    tokenizer: str | None
    """Fingerprint; None: text only."""
    slots: int
    """Sequences that run at once."""
    reproducible: Literal["always", "same_batch", "never"]
    """When the same seed gives the same text."""
    continues: bool
    """Goes on with a partial answer, and tells a step's end from the text's."""
    logprobs: bool
    """Completions carry the log-probability of each token."""
    parameters: int | None = None
    """Weights of the model; None when not known."""
    why: str = ""
    """Why it does not continue, for a person: the probe that failed."""
    keeps_openings: bool = False
    """A conversation stays rendered and tokenised for the calls that go on with it."""


class Engine(Protocol):
    """A language model."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine is and can do."""
        ...

    def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncIterator[Completion]:
        """Draw one completion a seed, each yielded as it ends, with its index into `seeds`.

        A failed sample is a completion with an error, and the others go on. Closing the iterator
        frees whatever still runs. Raises nothing for a failing sample, EngineLostError where the
        engine has ended for good and will never draw another; else only cancellation and bugs
        propagate.
        """
        ...

    async def aclose(self) -> None:
        """End the engine and free what it holds; a second call does nothing."""
        ...
