"""From a pool to what a run keeps: examples, traces and grades."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponder.answers.base import AnswerKind, kind_for
from ponder.evals.datasets import plain
from ponder.evals.pools import (
    FINISH_REASONS,
    SCORE,
    SPENT,
    STEP_SCORES,
    STRATEGY,
    PoolCandidate,
    PoolProblem,
)
from ponder.search.selection import majority
from ponder.session.ending import ballot
from ponder.trace import Node, Spent, Trace
from ponder.types import Answer, Candidate, Example, NodePath, Problem

_REBUILT = frozenset({"id", "problem", "answer", "subject"})
_REBUILT_OF_CANDIDATE = frozenset(
    {"text", SCORE, "scores", STEP_SCORES, "completion_tokens", "correct"}
)


@dataclass(frozen=True, slots=True)
class ImportedProblem:
    """One problem of a pool, as a run keeps it."""

    example: Example
    """`extra` keeps the other keys, and under `candidates` those of the candidates."""
    trace: Trace
    """One node and one candidate (i,) for each of the pool's, in its order."""
    grades: Mapping[NodePath, bool]
    """The candidates' `correct`, where given."""


async def import_pool(
    problems: Iterable[PoolProblem], answers: AnswerKind
) -> tuple[ImportedProblem, ...]:
    """A whole pool, its problems' answers parsed concurrently; order kept."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(import_problem(problem, answers)) for problem in problems]
    return tuple(task.result() for task in tasks)


async def import_problem(problem: PoolProblem, answers: AnswerKind) -> ImportedProblem:
    """A pool's problem with its answers parsed, each distinct one once."""
    example = _example(problem)
    kind = kind_for(answers, example.problem)
    raws = [_raw_answer(candidate, kind) for candidate in problem.candidates]
    async with asyncio.TaskGroup() as group:
        parsing = {raw: group.create_task(kind.parse(raw)) for raw in set(raws) if raw}
    parsed = {raw: task.result() for raw, task in parsing.items()}
    candidates = tuple(
        _candidate(index, candidate, parsed.get(raw or ""))
        for index, (candidate, raw) in enumerate(zip(problem.candidates, raws, strict=True))
    )
    grades: dict[NodePath, bool] = {
        (index,): candidate.correct
        for index, candidate in enumerate(problem.candidates)
        if candidate.correct is not None
    }
    return ImportedProblem(example, _trace(problem, candidates), grades)


def _raw_answer(candidate: PoolCandidate, answers: AnswerKind) -> str | None:
    given = plain(candidate.answer)
    return answers.extract(candidate.text) if given is None else given.strip()


def _candidate(index: int, given: PoolCandidate, answer: Answer | None) -> Candidate:
    scores: dict[str, tuple[float, ...] | None] = {}
    if SCORE in given.model_fields_set:
        scores[SCORE] = None if given.score is None else (float(given.score),)
    for name, score in (given.scores or {}).items():
        scores[name] = None if score is None else (float(score),)
    if given.step_scores:
        scores[STEP_SCORES] = tuple(map(float, given.step_scores))
    return Candidate(
        path=(index,),
        text=given.text,
        scores=scores,
        tokens=given.completion_tokens,
        ended=FINISH_REASONS.get(given.finish_reason or "", "eos"),
        answer=answer,
        votes=given.votes,
    )


def _example(problem: PoolProblem) -> Example:
    row = problem.row()
    extra = {key: value for key, value in row.items() if not _rebuilt(key, value)}
    kept = [_kept(candidate) for candidate in row["candidates"]]
    return Example(
        problem=replace(
            Problem.ask(problem.problem or "", plain(problem.id) or ""),
            choices=tuple(problem.choices or ()),
        ),
        reference=plain(problem.answer),
        level=plain(problem.level),
        subject=problem.subject,
        extra={**extra, "candidates": kept} if any(kept) else extra,
    )


def _rebuilt(key: str, value: object) -> bool:
    """The example gives this key back as it was; a number would come back as text."""
    return key == "candidates" or (key in _REBUILT and isinstance(value, str) and value != "")


def _kept(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that the candidate of a trace has no place for, no value, or only floats."""
    nothing: tuple[object, ...] = (None, {}, [])
    return {
        key: value
        for key, value in candidate.items()
        if key not in _REBUILT_OF_CANDIDATE or value in nothing or _whole(key, value)
    }


def _whole(key: str, value: Any) -> bool:
    """There is an integer among these scores, which comes back as a float from a trace."""
    if key not in (SCORE, "scores", STEP_SCORES):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return any(isinstance(part, int) for part in (parts if key != SCORE else [value]))


def _trace(problem: PoolProblem, candidates: Sequence[Candidate]) -> Trace:
    nodes = [
        Node(c.path, (), c.text, c.ended, None, c.scores, c.tokens, verifier_tokens=None)
        for c in candidates
    ]
    index = majority([ballot(candidate, None, "last") for candidate in candidates])
    chosen = None if index is None else candidates[index]
    return Trace(
        problem_id=plain(problem.id) or "",
        strategy=STRATEGY,
        nodes=tuple(nodes),
        decisions=(),
        candidates=tuple(candidates),
        answer=chosen.answer.raw if chosen and chosen.answer else None,
        chosen=chosen.path if chosen else None,
        spent=_spent(problem, candidates),
    )


def _spent(problem: PoolProblem, candidates: Sequence[Candidate]) -> Spent:
    """What the pool tells; else what independent samples come to: a search drew more than these."""
    if problem.spent is not None:
        return Spent(**{ours: getattr(problem.spent, name) for name, ours in SPENT.items()})
    nothing = Spent(generated=None, prompt=None, verifier=None, wasted=None, calls=None)
    if not problem.exchangeable:
        return nothing
    told = [candidate.tokens for candidate in candidates if candidate.tokens is not None]
    whole = sum(told) if len(told) == len(candidates) else None
    return replace(nothing, generated=whole, calls=len(candidates))
