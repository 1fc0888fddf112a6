"""What one problem took, read off its trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ponder.trace import Node, Trace


@dataclass(frozen=True, slots=True)
class ProblemCost:
    """What one problem took; None is not told."""

    generations: int | None
    prompt: int | None
    """Tokens of prompts, each conversation's once."""
    prompt_attended: float | None
    """Sum over these of the tokens that each looks back at, itself included."""
    generated: float | None
    attended: float | None
    """The same sum over generated tokens."""
    verifier: float | None
    read: float | None
    """Prompt and prefix tokens summed over samples: what a server bills."""
    cached: float | None
    wasted: float | None
    """Generated tokens of failed and uncounted samples; None counts as 0."""
    seconds: float | None

    @classmethod
    def of(cls, trace: Trace) -> ProblemCost:
        """The cost of what a trace counts."""
        good = [node for node in trace.nodes if node.error is None]
        prompts = _prompts(good)
        return cls(
            generations=trace.spent.calls,
            prompt=_sum(prompts),
            prompt_attended=_sum(_attended(0, tokens) for tokens in prompts),
            generated=trace.spent.generated,
            attended=_sum(_attended(node.prompt_tokens, node.tokens) for node in good),
            verifier=trace.spent.verifier,
            read=trace.spent.prompt,
            cached=trace.spent.cached,
            wasted=trace.spent.wasted,
            seconds=trace.spent.seconds,
        )

    def of_samples(self, size: int, drawn: int) -> ProblemCost:
        """What `size` of `drawn` independent samples cost on average.

        The prompt counts whole and the rest by share; a part of the samples has no time.
        """
        if not drawn or size == drawn:
            return self
        share = size / drawn
        return replace(
            self,
            generations=size,
            generated=_times(self.generated, share),
            attended=_times(self.attended, share),
            verifier=_times(self.verifier, share),
            read=_times(self.read, share),
            cached=_times(self.cached, share),
            wasted=_times(self.wasted, share),
            seconds=None,
        )


def _prompts(nodes: Sequence[Node]) -> list[int | None]:
    """Tokens of each conversation's prompt.

    All samples at the root share one; a deeper sample without a parent begins one of its own.
    """
    roots = [node for node in nodes if not node.parent]
    first = [node.prompt_tokens for node in roots if len(node.path) == 1]
    return first[:1] + [node.prompt_tokens for node in roots if len(node.path) > 1]


def _attended(before: int | None, tokens: int | None) -> float | None:
    """Sum of the positions that `tokens` look back at after `before` others."""
    if before is None or tokens is None:
        return None
    return tokens * before + tokens * (tokens + 1) / 2


def _sum(parts: Iterable[float | None]) -> int | None:
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return int(total)


def _times(value: float | None, share: float) -> float | None:
    return None if value is None else value * share
