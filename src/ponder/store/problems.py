"""What tells two problems of one id apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ponder.types import Example

_SHOWN = 60
"""Characters of a text in a message."""


def other_problem(folder: Path, kept: Example, given: Example) -> str:
    """One line: the first thing in which a run's problem and the given one differ, and the mend."""
    part, one, two = next(own for own in _parts(kept, given) if own[1] != own[2])
    return (
        f"{folder} holds another problem under the id {kept.problem.id!r}: "
        f"its {part} {_told(one, two)}: use another folder, or give the problem another id"
    )


def _parts(kept: Example, given: Example) -> Iterator[tuple[str, object, object]]:
    for part in ("question", "messages", "choices", "tests"):
        yield part, getattr(kept.problem, part), getattr(given.problem, part)
        if part == "question":
            yield "reference", kept.reference, given.reference
    for part in ("level", "subject", "extra"):
        yield part, getattr(kept, part), getattr(given, part)


def _told(one: object, two: object) -> str:
    if not all(isinstance(text, str | None) for text in (one, two)):
        return "are not the same"
    return f"is {_from_parting(one, two)} there, {_from_parting(two, one)} here"


def _from_parting(text: object, other: object) -> str:
    """A piece of a text from shortly before it parts from the other, quoted."""
    if not isinstance(text, str) or not isinstance(other, str):
        return repr(text)[:_SHOWN]
    places = (place for place, (a, b) in enumerate(zip(text, other, strict=False)) if a != b)
    start = max(0, next(places, min(len(text), len(other))) - _SHOWN // 3)
    piece = text[start : start + _SHOWN]
    before, after = "..." if start else "", "..." if len(text) > start + _SHOWN else ""
    return repr(f"{before}{piece}{after}")
