"""From traces and grades to what the statistics work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from ponder.errors import UsageError
from ponder.evals.graded import GradedCandidate, GradedProblem
from ponder.evals.pools import SCORE, STEP_SCORES, STRATEGY
from ponder.evals.problem_cost import ProblemCost
from ponder.search.selection import Aggregation
from ponder.session.ending import ballot
from ponder.trace import Trace
from ponder.types import Candidate, Example, NodePath

Grades = Mapping[tuple[str, NodePath], bool]
"""Whether a candidate is right, by problem id and path."""

Grader = Literal["imported", "ours"]

LOST = GradedCandidate(None, None, correct=False, tokens=0)
"""A sample that failed: it takes its place among the samples and is wrong."""


class Outcome(NamedTuple):
    """One finished problem without its texts."""

    trace: Trace
    """Without nodes, and candidates without text."""
    exchangeable: bool
    """See `is_exchangeable`."""
    lost: tuple[NodePath, ...]
    """Paths of the whole solutions that failed."""
    failed: bool
    """All its samples failed: nothing was there to choose from."""
    gradable: bool
    """There is a reference."""
    cuttable: bool
    """It was searched in whole subtrees (DVTS), and no budget cut any."""
    level: str | None
    subject: str | None
    cost: ProblemCost
    root_tokens: Mapping[int, int | None]
    """Generated tokens under each root sample; None: not told."""


def outcome_of(trace: Trace, example: Example | None) -> Outcome:
    """What the statistics keep of one finished problem; None: its example is not known."""
    ended = {candidate.path for candidate in trace.candidates}
    broken = [node for node in trace.nodes if node.error is not None]
    slim = tuple(replace(candidate, text="") for candidate in trace.candidates)
    return Outcome(
        replace(trace, nodes=(), candidates=slim),
        is_exchangeable(trace, example),
        tuple(node.path for node in broken if not node.parent and node.path not in ended),
        not trace.candidates and len(broken) == len(trace.nodes),
        example is None or example.reference is not None,
        trace.strategy == "dvts" and _whole(trace),
        example.level if example else None,
        example.subject if example else None,
        ProblemCost.of(trace),
        _root_tokens(trace),
    )


def _root_tokens(trace: Trace) -> dict[int, int | None]:
    """Tokens of each root sample and of all that grew from it."""
    found: dict[int, int | None] = {}
    for node in trace.nodes:
        before = found.get(node.path[0], 0)
        told = before is not None and node.tokens is not None
        found[node.path[0]] = (before or 0) + (node.tokens or 0) if told else None
    return found


def is_exchangeable(trace: Trace, example: Example | None) -> bool:
    """The candidates are independent samples, as many as were asked for, and none was cut."""
    if trace.strategy == STRATEGY:
        return example is None or example.extra.get("exchangeable", True) is True
    return trace.strategy == "sample" and _whole(trace)


def _whole(trace: Trace) -> bool:
    """It ended by itself, and no budget cut a sample."""
    return trace.stopped == "complete" and not any(node.cut for node in trace.nodes)


def ranking_name(candidates: Iterable[Candidate], chosen: str | None = None) -> str | None:
    """The name of the scores that candidates are ranked by; None: nothing is scored.

    That is `chosen`; else a pool's `score`; else the only named one; else `step_scores`. One name
    holds for all candidates, since scores of different names do not compare. Raises UsageError when
    there is no `chosen`, or when several are named and none is chosen.
    """
    ranked = list(candidates)
    if not ranked:
        return None
    names = sorted({name for candidate in ranked for name in candidate.scores})
    if chosen is not None and chosen not in names:
        known = ", ".join(names) or "there are none"
        raise UsageError(f"no candidate has a score called {chosen!r} (known: {known})")
    if chosen is not None or SCORE in names:
        return chosen or SCORE
    named = [name for name in names if name != STEP_SCORES]
    if len(named) == 1:
        return named[0]
    if STEP_SCORES in names:
        return STEP_SCORES
    if named:
        raise UsageError(
            f"the candidates have several scores, choose one by `--score`: {', '.join(named)}"
        )
    return None


def which_grades(outcomes: Iterable[Outcome], imported: Grades) -> Grader:
    """`imported` when there is an imported grade for every candidate, else `ours`."""
    graded = [
        (outcome.trace.problem_id, candidate.path) in imported
        for outcome in outcomes
        for candidate in outcome.trace.candidates
    ]
    return "imported" if graded and all(graded) else "ours"


def graded_problem(
    outcome: Outcome,
    grades: Grades,
    ranking: str | None,
    aggregation: Aggregation,
    whose: Grader = "ours",
) -> GradedProblem:
    """The problem with its candidates graded by `grades`, lost samples in their places.

    A candidate without an answer or a reference is wrong unless graded otherwise, and so is one
    that may not vote. Raises UsageError for another without a grade; `whose` says how to mend it.
    """
    placed = dict.fromkeys(outcome.lost if outcome.trace.candidates else (), LOST)
    for candidate in outcome.trace.candidates:
        key, score = ballot(candidate, ranking, aggregation)
        right = _grade(outcome, candidate, grades, whose) and candidate.votes
        root = candidate.path[0]
        placed[candidate.path] = GradedCandidate(key, score, right, candidate.tokens, root)
    ordered = sorted(placed, key=lambda path: (len(path), path))
    chosen = outcome.trace.chosen
    return GradedProblem(
        outcome.trace.problem_id,
        tuple(placed[path] for path in ordered),
        outcome.exchangeable,
        outcome.trace.spent.generated,
        outcome.level,
        outcome.subject,
        ordered.index(chosen) if chosen in placed else None,
    )


def _grade(outcome: Outcome, candidate: Candidate, grades: Grades, whose: Grader) -> bool:
    name = outcome.trace.problem_id
    grade = grades.get((name, candidate.path))
    if grade is None and candidate.answer is not None and outcome.gradable:
        if whose == "imported":
            raise UsageError(f"problem {name!r} has no imported grade: use `--grades ours`")
        raise UsageError(f"problem {name!r} is not graded: run `ponder grade` on the run first")
    return bool(grade)
