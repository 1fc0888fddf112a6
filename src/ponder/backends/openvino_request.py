"""One sample in the child process, from the queue to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ponder.backends.drafting import Draft
from ponder.backends.openvino_messages import Draw, Drawn
from ponder.backends.prefix_ledger import BLOCK


@dataclass(slots=True, eq=False)
class Request:
    """A sample, waiting or running."""

    draw: Draw
    index: int
    """Which of the draw's seeds."""
    keys: tuple[int, ...]
    """Of the prompt's whole blocks."""
    limit: int
    draft: Draft
    handle: Any = None
    """The pipeline's; None while it waits."""
    cached: int | None = None
    """Tokens of the prompt that were in the cache when it started."""
    cancelled: bool = False
    error: str | None = None

    @property
    def tokens(self) -> int:
        """Tokens that it can come to, with its prompt."""
        return len(self.draw.ids) + self.limit

    @property
    def cold(self) -> bool:
        """Its prompt is not yet computed."""
        return not self.draft.generated

    @property
    def computed(self) -> tuple[int, ...]:
        """What is in the cache of it: the last token drawn is computed with the next one."""
        return (*self.draw.ids, *self.draft.token_ids[: max(0, self.draft.generated - 1)])

    def shared(self, other: Request) -> int:
        """Tokens of this prompt that computing `other`'s prompt leaves in the cache."""
        if self.draw.ids == other.draw.ids:
            return len(self.draw.ids) - 1
        blocks = 0
        for mine, theirs in zip(self.keys, other.keys, strict=False):
            if mine != theirs:
                break
            blocks += 1
        return blocks * BLOCK

    def read(self) -> None:
        """Take up what the last step drew."""
        while self.draft.ended is None and self.handle.can_read():
            for output in self.handle.read().values():
                for token_id, logprob in zip(
                    output.generated_ids, output.generated_log_probs, strict=True
                ):
                    self.draft.add(token_id, logprob)

    def drawn(self) -> Drawn:
        """What the parent is told."""
        draft, offsets = self.draft, self.draft.offsets
        kept = 0 if offsets is None else len(offsets)
        return Drawn(
            call=self.draw.call,
            index=self.index,
            text=draft.text,
            ended=draft.ended if draft.ended is not None and self.error is None else "aborted",
            token_ids=None if offsets is None else tuple(draft.token_ids[:kept]),
            logprobs=None if offsets is None else tuple(draft.logprobs[:kept]),
            offsets=offsets,
            prompt=len(self.draw.ids),
            cached=self.cached,
            generated=draft.generated,
            error=self.error,
        )
