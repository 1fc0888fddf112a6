"""From what a run keeps to a line of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ponder.evals.outcomes import is_exchangeable
from ponder.evals.pools import FINISH_REASONS, SCORE, SPENT, STEP_SCORES, STRATEGY, PoolProblem
from ponder.search.selection import Aggregation, aggregate
from ponder.trace import Trace
from ponder.types import Candidate, Example, NodePath

_REASONS = {ended: reason for reason, ended in FINISH_REASONS.items()}


def export_problem(
    example: Example,
    trace: Trace,
    grades: Mapping[NodePath, bool],
    *,
    ranking: str | None = None,
    rescored: bool = False,
    aggregation: Aggregation = "last",
) -> PoolProblem:
    """A finished problem as a line of a pool; an imported one comes back with all its keys.

    `ranking` names the scores that become `score` and `step_scores`; with `rescored` they take the
    place of an imported problem's own, which else stay.
    """
    row: dict[str, Any] = {"id": example.problem.id, "answer": example.reference}
    optional = {
        "problem": example.problem.question,
        "level": level_value(example.level),
        "subject": example.subject,
        "choices": list(example.problem.choices),
    }
    row |= {key: value for key, value in optional.items() if value}
    imported = trace.strategy == STRATEGY
    if not imported:
        row["exchangeable"] = is_exchangeable(trace, example)
        spent = {name: getattr(trace.spent, ours) for name, ours in SPENT.items()}
        row["spent"] = {name: value for name, value in spent.items() if value is not None}
    kept = _kept(example, trace)
    if rescored:
        kept = [{k: v for k, v in own.items() if k not in (SCORE, STEP_SCORES)} for own in kept]
    row |= example.extra
    replaced = rescored or not imported
    row["candidates"] = [
        _start(candidate, imported=imported)
        | own
        | _as_given(_scores(candidate, ranking if replaced else None, aggregation), own)
        | _facts(candidate, grades.get(candidate.path))
        for candidate, own in zip(trace.candidates, kept, strict=True)
    ]
    return PoolProblem.model_validate(row)


def _kept(example: Example, trace: Trace) -> list[dict[str, Any]]:
    """For each candidate of an imported problem, its keys that a trace has no place for."""
    kept = example.extra.get("candidates")
    if trace.strategy == STRATEGY and isinstance(kept, list):
        return kept
    return [{} for _ in trace.candidates]


def level_value(level: str | None) -> str | int | None:
    """A level as a pool tells it: a number where it is one."""
    return int(level) if level is not None and level.isdecimal() else level


def _start(candidate: Candidate, *, imported: bool) -> dict[str, Any]:
    """What an imported candidate's own keys stand above."""
    row: dict[str, Any] = {}
    if candidate.answer is not None:
        row["answer"] = candidate.answer.raw
    if not imported:
        row["finish_reason"] = _REASONS.get(candidate.ended, candidate.ended)
    return row


def _scores(candidate: Candidate, ranking: str | None, aggregation: Aggregation) -> dict[str, Any]:
    """`score`, `scores` and `step_scores`, as far as the candidate has them."""
    single = {
        name: aggregate(scores, aggregation) if scores else None
        for name, scores in candidate.scores.items()
        if name != STEP_SCORES
    }
    steps = candidate.scores.get(STEP_SCORES)
    row: dict[str, Any] = {}
    told = single.pop(SCORE, None)
    if ranking in single:
        row[SCORE], steps = single[ranking], candidate.scores[ranking]
    elif told is not None:
        row[SCORE] = told
    if single:
        row["scores"] = single
    if steps:
        row[STEP_SCORES] = list(steps)
    return row


def _as_given(scores: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The scores with the numbers of an imported candidate that floats would not give back."""
    named = scores.get("scores", {}) | (own.get("scores") or {})
    given = {name: own[name] for name in (SCORE, STEP_SCORES) if own.get(name) not in (None, [])}
    return {**scores, **given, **({"scores": named} if named else {})}


def _facts(candidate: Candidate, correct: bool | None) -> dict[str, Any]:
    row: dict[str, Any] = {"text": candidate.text}
    if candidate.tokens is not None:
        row["completion_tokens"] = candidate.tokens
    if correct is not None:
        row["correct"] = correct
    if not candidate.votes:
        row["votes"] = False
    return row
