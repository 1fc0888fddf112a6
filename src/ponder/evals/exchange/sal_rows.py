"""The completions files of huggingface/search-and-learn ("sal"), one problem a row, as pool rows.

Its columns: `problem`, `answer`, `solution`, `subject`, `level`, `unique_id`, of the data set;
`completions`, `scores` (a list of step scores for each completion), `completion_tokens`, `pred`
(the completion with the highest score); `agg_scores`, and `pred_weighted@n`, `pred_maj@n`,
`pred_naive@n` for powers of two n.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, model_validator

from ponder.errors import UsageError
from ponder.evals.datasets import plain
from ponder.evals.exchange.remainder import Json, read_remainder, remainder, restored
from ponder.evals.pools import SCORE, STEP_SCORES, Scalar
from ponder.evals.rows import Row, checked
from ponder.types import Problem

Approach = Literal["best_of_n", "beam_search", "dvts"]
"""How the completions came about, in the words of sal's configuration."""

KEPT = "sal"
"""The key of a pool's problem for what it has no place for otherwise."""

POOL_COLUMN = "ponder"
"""The column for what sal has no column for: JSON text."""


def _score(value: object) -> object:
    """A completion's scores: a list of numbers, one number, or null; null is a missing score."""
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float | None):
            raise ValueError("must be a list of numbers, a number or null")
    return value


class SalRow(BaseModel):
    """One row; other columns are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    problem: str
    answer: Scalar
    completions: list[str]
    scores: list[Annotated[Any, BeforeValidator(_score)]] | None = None
    agg_scores: list[FiniteFloat | None] | None = None
    completion_tokens: list[int | None] | int | None = None
    """-1 in place of the list where a search does not count them."""
    unique_id: Scalar = None
    level: Scalar = None
    subject: str | None = None

    @model_validator(mode="after")
    def _as_long_as_the_completions(self) -> SalRow:
        for name in ("scores", "agg_scores", "completion_tokens"):
            values = getattr(self, name)
            if isinstance(values, list) and len(values) != len(self.completions):
                raise ValueError(
                    f"`{name}` has {len(values)} entries for {len(self.completions)} completions"
                )
        return self


def pool_row(row: Row, approach: Approach) -> Json:
    """The row as a pool's problem, from which `columns` and the remainder give it back.

    A row that ponder exported comes back as the problem that it was. Completions of a search are
    not exchangeable. Raises UsageError in one line for a column that cannot be used.
    """
    problem = _problem(row, checked(row, SalRow), approach)
    columns_ = {key: value for key, value in row.values.items() if key != POOL_COLUMN}
    kept = remainder(columns_, columns(problem))
    if kept or POOL_COLUMN not in row.values:  # nothing may be left, and still it is sal's own row
        problem[KEPT] = kept
    if POOL_COLUMN not in row.values:
        return problem
    return repatched(problem, read_remainder(row.values[POOL_COLUMN], row.where, POOL_COLUMN))


def _problem(row: Row, sal: SalRow, approach: Approach) -> Json:
    named = sal.unique_id if (plain(sal.unique_id) or "").strip() else row.values.get("id")
    given = {"level": sal.level, "subject": sal.subject}
    return {
        "id": named if (plain(named) or "").strip() else Problem.ask(sal.problem).id,
        "problem": sal.problem,
        "answer": sal.answer,
        **{key: value for key, value in given.items() if value is not None},
        **({} if approach == "best_of_n" else {"exchangeable": False}),
        "candidates": [_candidate(sal, index) for index in range(len(sal.completions))],
    }


def _candidate(sal: SalRow, index: int) -> Json:
    candidate: Json = {"text": sal.completions[index]}
    scores = sal.scores[index] if sal.scores else None
    if isinstance(scores, list):
        if scores and None not in scores:
            candidate[STEP_SCORES] = [float(score) for score in scores]
    elif scores is not None:
        candidate[SCORE] = float(scores)
    elif sal.scores is None and sal.agg_scores and sal.agg_scores[index] is not None:
        candidate[SCORE] = sal.agg_scores[index]
    tokens = sal.completion_tokens[index] if isinstance(sal.completion_tokens, list) else None
    if tokens is not None and tokens >= 0:
        candidate["completion_tokens"] = tokens
    return candidate


def columns(problem: Mapping[str, Any]) -> Json:
    """The columns that hold what a pool's problem has in common with sal."""
    candidates = problem["candidates"]
    shared: Json = {
        "problem": problem.get("problem") or "",
        "answer": problem["answer"],
        "subject": problem.get("subject"),
        "level": problem.get("level"),
        "unique_id": problem["id"],
        "completions": [candidate["text"] for candidate in candidates],
        "scores": _listed([_scores(candidate) for candidate in candidates]),
        "completion_tokens": _listed([one.get("completion_tokens") for one in candidates]),
    }
    optional = ("subject", "level", "scores", "completion_tokens")
    return {k: v for k, v in shared.items() if v is not None or k not in optional}


def _scores(candidate: Mapping[str, Any]) -> object:
    """The steps' scores, else the one of the solution."""
    single = candidate.get(SCORE)
    return candidate.get(STEP_SCORES) or (None if single is None else [single])


def _listed(values: Sequence[object]) -> list[object] | None:
    """The values, or None where there is none."""
    return list(values) if any(value is not None for value in values) else None


def patch(problem: Json, rebuilt: Json) -> str:
    """What `repatched` needs to get `problem` from `rebuilt`, as JSON text; candidates one by one.

    Both have as many candidates.
    """
    pairs = zip(problem["candidates"], rebuilt["candidates"], strict=True)
    kept = remainder(_without(problem), _without(rebuilt))
    return json.dumps({**kept, "candidates": [remainder(one, back) for one, back in pairs]})


def repatched(rebuilt: Json, kept: Json) -> Json:
    """The problem that `kept` was made of by `patch`; raises UsageError if it fits no more."""
    candidates, parts = rebuilt["candidates"], kept.get("candidates")
    if not isinstance(parts, list) or len(parts) != len(candidates):
        raise UsageError(
            f"problem {rebuilt['id']!r}: `{POOL_COLUMN}` was written for other completions: "
            "leave the column out"
        )
    again = [restored(one, part) for one, part in zip(candidates, parts, strict=True)]
    return {**restored(_without(rebuilt), kept), "candidates": again}


def _without(problem: Json) -> Json:
    return {key: value for key, value in problem.items() if key != "candidates"}
