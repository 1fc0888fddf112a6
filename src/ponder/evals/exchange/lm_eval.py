"""Sample logs of lm-evaluation-harness (`samples_TASK_DATE.jsonl`) as rows of a pool.

A line is one document under one filter: `doc_id`, `doc`, `target`, `arguments`, `resps` (the texts
that were generated, in a list for each request), `filtered_resps` (what the filter made of them),
`filter`, and each of `metrics` by its name. Tasks that compare likelihoods generate no text and
have nothing to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from ponder.errors import UsageError
from ponder.evals.datasets import plain
from ponder.evals.exchange.remainder import Json
from ponder.evals.rows import Row, checked

_QUESTIONS = ("problem", "question")
_INVALID = "[invalid]"
"""What the harness writes where a filter found no answer."""
_KEPT_ELSEWHERE = frozenset({"doc", "resps"})
_FILE = re.compile(r"samples_(.+?)(?:_\d{4}-\d\d-\d\dT[\d.-]+)?\.jsonl(?:\.gz)?")
"""How the harness names a file: by its task, and by the time that it was written."""


class LmEvalRow(BaseModel):
    """One line; metrics are further keys."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    doc_id: int | str
    doc: dict[str, Any]
    target: Any = None
    arguments: Any = None
    resps: list[Any]
    filtered_resps: list[Any] = []
    filter: str = "none"
    metrics: list[str] = []


class _Line(NamedTuple):
    row: Row
    entry: LmEvalRow


def task_of(name: str) -> str | None:
    """The task that a file's name tells, as in "samples_gsm8k_2024-08-21T10-11-12.5.jsonl"."""
    found = _FILE.fullmatch(name)
    return found.group(1) if found else None


def lm_eval_pool(
    rows: Sequence[Row], task: str | None, grades: str | None
) -> tuple[list[Row], str]:
    """The documents as a pool's rows, and the filter whose answers and metrics they have.

    Every task numbers its documents from 0: their ids begin with the `task`, where it is known.
    `grades` names the filter; by default the first in the file. A metric is a candidate's grade
    where it says 0 or 1 of the only candidate. Raises UsageError in one line for what cannot be
    used.
    """
    lines = [_Line(row, checked(row, LmEvalRow)) for row in rows]
    filters = list(dict.fromkeys(line.entry.filter for line in lines))
    chosen = filters[0] if grades is None else grades
    if chosen not in filters:
        raise UsageError(f"no line has the filter {chosen!r} (there are {', '.join(filters)})")
    documents: dict[str, list[_Line]] = {}
    for line in lines:
        documents.setdefault(str(line.entry.doc_id), []).append(line)
    return [_document(group, task, chosen) for group in documents.values()], chosen


def _document(lines: Sequence[_Line], task: str | None, chosen: str) -> Row:
    """One document's lines, one for each filter, as a problem."""
    of_filter = [line for line in lines if line.entry.filter == chosen]
    where, entry = lines[0].row.where, lines[0].entry
    if len(of_filter) != 1:
        raise UsageError(
            f"{where}: the document {entry.doc_id!r} has {len(of_filter)} lines of the filter "
            f"{chosen!r} and needs exactly one"
        )
    line = of_filter[0]
    solutions = _solutions(line)
    kept = [
        {key: value for key, value in one.row.values.items() if key not in _KEPT_ELSEWHERE}
        for one in lines
    ]
    problem = {
        "id": entry.doc_id if task is None else f"{task}/{entry.doc_id}",
        "problem": _question(entry),
        "answer": _reference(entry.target),
        "candidates": _candidates(line.entry, solutions),
        "lm_eval": {"doc": entry.doc, "lines": kept},
    }
    return Row(line.row.where, problem)


def _solutions(line: _Line) -> list[str]:
    """The generated texts of the document's one request."""
    resps = line.entry.resps
    texts = resps[0] if len(resps) == 1 else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f"{line.row.where}: `resps` holds no generated texts: only tasks that generate "
            "(`generate_until`) have solutions to import"
        )
    return texts


def _question(entry: LmEvalRow) -> str:
    """The document's question, else the prompt that the model saw."""
    named = (entry.doc.get(name) for name in _QUESTIONS)
    return next((text for text in named if isinstance(text, str)), _prompt(entry.arguments))


def _prompt(arguments: object) -> str:
    """The first text among the request's arguments, in the layouts of old and new versions."""
    if isinstance(arguments, str):
        return arguments
    inner: Iterable[object] = ()
    if isinstance(arguments, dict):
        inner = arguments.values()
    elif isinstance(arguments, list):
        inner = arguments
    return next((text for part in inner if (text := _prompt(part))), "")


def _reference(target: object) -> str | None:
    """The target's last line where it is a worked solution that ends in `#### ANSWER`."""
    text = plain(target)
    return None if text is None else text.rpartition("\n####")[2].strip()


def _candidates(entry: LmEvalRow, solutions: Sequence[str]) -> list[Json]:
    answers = _answers(entry, solutions)
    candidates = [
        {"text": text} if answer is None else {"text": text, "answer": answer}
        for text, answer in zip(solutions, answers, strict=True)
    ]
    right = _grade(entry) if len(candidates) == 1 else None
    return [one if right is None else {**one, "correct": right} for one in candidates]


def _answers(entry: LmEvalRow, solutions: Sequence[str]) -> list[str | None]:
    """What the filter found in each text; None where it left the text as it was."""
    found = entry.filtered_resps
    if len(found) != len(solutions) or not all(isinstance(text, str) for text in found):
        return [None for _ in solutions]
    return [
        None if answer == text else "" if answer == _INVALID else answer
        for answer, text in zip(found, solutions, strict=True)
    ]


def _grade(entry: LmEvalRow) -> bool | None:
    """The first metric that says right or wrong."""
    further = entry.model_extra or {}
    values = (further.get(name) for name in entry.metrics or further)
    told = (value for value in values if isinstance(value, int | float) and value in (0, 1))
    return next((bool(value) for value in told), None)
