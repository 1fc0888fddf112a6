"""The engine of a replay: it says what it was, and answers nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from ponder.engines.base import Capabilities
from ponder.types import Completion, Prefix, Sampling


class ReplayEngine:
    """Stands in for the engine of a recorded run; every call that counts is in the call log."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.unrecorded: str | None = None
        """The first call that the log did not answer: one that was ended midway, or a fault."""

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        """Samples that fail: the log should have answered, had they ended then."""
        self.unrecorded = self.unrecorded or (
            f"problem {prefix.problem.id!r} asks for {len(seeds)} samples that are not recorded "
            f"(depth {prefix.depth}, {sampling.limit} tokens)"
        )
        for index in range(len(seeds)):
            yield Completion(index, "", "aborted", error=self.unrecorded)

    async def aclose(self) -> None:
        """Nothing to free."""
