"""Whether runs that are matched by the ids of their problems hold the same problems under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.types import Example

_SHOWN = 60
"""Characters of a text in a message."""


class Held(NamedTuple):
    """A run and its problems by id."""

    name: str
    examples: Mapping[str, Example]

    def tells(self, part: str, problem: str) -> str | None:
        """The question or reference of a problem, spaces apart; None: it is not told."""
        example = self.examples[problem]
        text = example.problem.question if part == "question" else example.reference
        return " ".join((text or "").split()) or None


def check_same_problems(runs: Sequence[Held]) -> list[str]:
    """Raise UsageError unless equal ids have equal questions and equal references in all runs.

    Prompts around a question may differ. Returns a line for each run that cannot be checked whole,
    since it holds no questions, as an import may: by what its problems are matched.
    """
    told = (
        (run, problem, part, text)
        for run in runs
        for problem in run.examples
        for part in ("question", "reference")
        if (text := run.tells(part, problem)) is not None
    )
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for run, problem, part, text in told:
        name, before = seen.setdefault((problem, part), (run.name, text))
        if before != text:
            raise UsageError(_refusal(run.name, name, problem, part, (text, before)))
    return [line for run in runs if (line := _untold(run, runs)) is not None]


def _refusal(run: str, other: str, problem: str, part: str, texts: tuple[str, str]) -> str:
    pairs = enumerate(zip(*texts, strict=False))
    parted = next((place for place, (one, two) in pairs if one != two), min(map(len, texts)))
    start = max(0, parted - _SHOWN // 3)
    own, before = (_shown(text, start) for text in texts)
    return (
        f"{run} holds another problem under the id {problem!r} than {other}: its {part} is {own}, "
        f"that of {other} {before}; give runs over the same problems"
    )


def _shown(text: str, start: int) -> str:
    """A piece of the text, quoted."""
    piece = text[start : start + _SHOWN]
    before, after = "..." if start else "", "..." if len(text) > start + _SHOWN else ""
    return repr(f"{before}{piece}{after}")


def _untold(run: Held, runs: Sequence[Held]) -> str | None:
    """What the run's problems are matched by, where that is not their questions."""
    others = [other.examples for other in runs if other.examples is not run.examples]
    shared = [name for name in run.examples if any(name in other for other in others)]
    blank = [name for name in shared if run.tells("question", name) is None]
    if not blank:
        return None
    by = "id and reference" if all(run.tells("reference", name) for name in blank) else "id alone"
    return (
        f"{run.name} does not hold the question of {len(blank)} of {len(shared)} common problems: "
        f"they are matched by {by}"
    )
