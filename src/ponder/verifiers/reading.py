"""How verifiers read prefixes: step texts, empty steps, duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ponder.types import Prefix, ScoreFailure, StepScores


def step_texts(prefix: Prefix) -> tuple[str, ...]:
    """The text of each step, without its separator and the white space at its end."""
    return tuple(step.content for step in prefix.steps)


def filled(scores: Iterable[float | None], start: float) -> tuple[float, ...]:
    """The scores with each None, an empty step's, replaced by the score before it (or `start`).

    So a step that says nothing leaves the last and the least score as they were.
    """
    full: list[float] = []
    for score in scores:
        full.append(score if score is not None else full[-1] if full else start)
    return tuple(full)


def score_each(
    prefixes: Sequence[Prefix], score: Callable[[Prefix], StepScores | ScoreFailure]
) -> list[StepScores | ScoreFailure]:
    """`score` of each prefix, in order; equal prefixes are scored once."""
    unique = {prefix.key: prefix for prefix in prefixes}
    known = {key: score(prefix) for key, prefix in unique.items()}
    return [known[prefix.key] for prefix in prefixes]
