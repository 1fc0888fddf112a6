"""Why the chosen answer was chosen: the groups of equal answers that the selector saw."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.trace import Trace
from ponder.types import Candidate


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates that vote for one answer."""

    answer: str
    """As its first candidate wrote it."""
    members: tuple[Candidate, ...]
    chosen: bool
    """The answer of the trace."""


def groups(trace: Trace) -> tuple[Group, ...]:
    """The answers with their votes, the largest group first, ties in the order first seen."""
    found: dict[str, list[Candidate]] = {}
    for candidate in trace.candidates:
        if candidate.answer is not None and candidate.votes:
            found.setdefault(candidate.answer.key, []).append(candidate)
    return tuple(
        Group(_raw(members[0]), tuple(members), trace.chosen in [m.path for m in members])
        for members in sorted(found.values(), key=len, reverse=True)
    )


def why_chosen(trace: Trace) -> str | None:
    """One line on the trace's selector and what it found; None when nothing was chosen."""
    if trace.chosen is None:
        return None
    voting = groups(trace)
    votes = next((len(group.members) for group in voting if group.chosen), 0)
    total = sum(len(group.members) for group in voting)
    if trace.selector == "majority":
        tied = sum(len(group.members) == votes for group in voting) > 1
        kind = "the first of the largest groups" if tied else "the largest group"
        return f"chosen by majority: {votes} of {total} votes, {kind}"
    if trace.selector == "best_of_n":
        return "chosen as best of N: no candidate scores higher"
    return f"chosen by {trace.selector} vote: its group has {votes} of {total} votes"


def _raw(candidate: Candidate) -> str:
    return candidate.answer.raw if candidate.answer else ""
