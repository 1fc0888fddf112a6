"""The data that the page's script draws problems from: plain JSON, no markup anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ponder.report.branches import Branch, branches, general_reasons, path_label
from ponder.report.choice import groups
from ponder.report.escape import clipped, visible
from ponder.report.view import RunView
from ponder.report.wording import ending
from ponder.trace import Trace
from ponder.types import Candidate, Example

Json = Mapping[str, object]


class Column(NamedTuple):
    """One run on the page."""

    run: RunView
    traces: Mapping[str, Trace]
    """By problem id."""


def columns(runs: Sequence[RunView]) -> list[Column]:
    """The runs with their traces looked up by problem."""
    return [Column(run, {trace.problem_id: trace for trace in run.traces}) for run in runs]


def problem_ids(page: Sequence[Column]) -> list[str]:
    """Every problem of any run, in the order of the first run that has it."""
    return list(dict.fromkeys(problem_id for column in page for problem_id in column.traces))


def index(page: Sequence[Column], ids: Sequence[str]) -> Json:
    """What the list of problems shows and searches: small, read at once."""
    return {
        "methods": [visible(column.run.name) for column in page],
        "ranges": {name: ends for column in page for name, ends in column.run.ranges.items()},
        "problems": [
            {
                "id": visible(problem_id),
                "question": clipped(_question(page, problem_id), 400),
                "marks": [_mark(column, problem_id) for column in page],
            }
            for problem_id in ids
        ],
    }


def problem(page: Sequence[Column], problem_id: str, *, trees: bool = True) -> Json:
    """One problem in full: read when a person opens it. Without `trees`, only its answers.

    Runs that chose differently from the same samples share one tree.
    """
    example = _example(page, problem_id)
    shared: dict[str, int] = {}
    methods = [_method(column, problem_id, shared) for column in page]
    return {
        "question": visible(_question(page, problem_id)),
        "reference": _or_none(example.reference if example else None),
        "facts": _facts(example),
        "methods": methods if trees else [_without_tree(method) for method in methods],
        "trees": [json.loads(tree) for tree in shared] if trees else None,
    }


def votes(run: RunView, trace: Trace) -> list[Json]:
    """The groups of answers, largest first: what each selector chose among."""
    return [
        {
            "answer": visible(group.answer),
            "count": len(group.members),
            "right": run.grades.get((trace.problem_id, group.members[0].path)),
            "chosen": group.chosen,
        }
        for group in groups(trace)
    ]


def _method(column: Column, problem_id: str, shared: dict[str, int]) -> Json | None:
    """One run's answer and what led to it; its tree is added to `shared` if no equal one is."""
    run, trace = column.run, column.traces.get(problem_id)
    if trace is None:
        return None
    drawn = branches(trace)
    tree = json.dumps([_branch(run, problem_id, branch) for branch in drawn])
    return {
        "answer": _or_none(trace.answer),
        "right": run.right(trace),
        "selector": trace.selector,
        "ending": ending(trace),
        "generated": trace.spent.generated,
        "verifier": trace.spent.verifier,
        "seconds": _finite(trace.spent.seconds),
        "candidates": len(trace.candidates),
        "votes": votes(run, trace),
        "notes": [visible(reason) for reason in general_reasons(trace)],
        "tree": shared.setdefault(tree, len(shared)),
        "states": [branch.state for branch in drawn],
        "reasons": {
            str(place): [visible(reason) for reason in branch.reasons]
            for place, branch in enumerate(drawn)
            if branch.reasons
        },
    }


def _without_tree(method: Json | None) -> Json | None:
    left_out = ("tree", "states", "reasons")
    return method and {key: value for key, value in method.items() if key not in left_out}


def _branch(run: RunView, problem_id: str, branch: Branch) -> Json:
    node, candidate = branch.node, branch.candidate
    return {
        "path": path_label(node.path),
        "parent": branch.parent,
        "steps": [[visible(step.text), _finite(step.score)] for step in branch.steps],
        "scores": {
            visible(name): _finite(scores[-1]) if scores else None
            for name, scores in node.scores.items()
        },
        "tokens": node.tokens,
        "ended": node.ended,
        "cut": node.cut,
        "error": _or_none(node.error),
        "answer": _answer(candidate) if candidate else None,
        "votes": candidate.votes if candidate else None,
        "right": run.grades.get((problem_id, candidate.path)) if candidate else None,
    }


def _mark(column: Column, problem_id: str) -> list[object] | None:
    """Right, wrong or not graded, and the answer; None where the run lacks the problem."""
    trace = column.traces.get(problem_id)
    return [column.run.right(trace), clipped(trace.answer or "", 60)] if trace else None


def _answer(candidate: Candidate) -> str | None:
    return _or_none(candidate.answer.raw if candidate.answer else None)


def _example(page: Sequence[Column], problem_id: str) -> Example | None:
    known = (column.run.examples.get(problem_id) for column in page)
    return next((example for example in known if example is not None), None)


def _question(page: Sequence[Column], problem_id: str) -> str:
    example = _example(page, problem_id)
    return example.problem.question if example else problem_id


def _finite(number: float | None) -> float | None:
    """JSON has no other numbers; four digits are more than a person reads."""
    return round(number, 4) if number is not None and math.isfinite(number) else None


def _facts(example: Example | None) -> list[str]:
    if example is None:
        return []
    level = example.level or ""
    named = f"level {level}" if level.isdigit() else level
    return [visible(fact) for fact in (named, example.subject) if fact]


def _or_none(text: str | None) -> str | None:
    return None if text is None else visible(text)
