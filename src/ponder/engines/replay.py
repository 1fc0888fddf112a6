"""The engine of a replay: it says what it was, and answers nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ponder.engines.base import Capabilities
from ponder.errors import ReplayError
from ponder.types import Completion, Prefix, Sampling


class ReplayEngine:
    """Stands in for the engine of a recorded run; every call must be in the call log."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncIterator[Completion]:
        """Raise ReplayError: the log should have answered."""
        raise ReplayError(
            f"problem {prefix.problem.id!r} asks for {len(seeds)} samples that are not recorded "
            f"(depth {prefix.depth}, {sampling.limit} tokens): the strategy or its knobs changed"
        )

    async def aclose(self) -> None:
        """Nothing to free."""
