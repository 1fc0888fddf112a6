"""From what a run keeps to a row of huggingface/search-and-learn's completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ponder.evals.exchange.remainder import Json, restored
from ponder.evals.exchange.sal_rows import (
    KEPT,
    POOL_COLUMN,
    SalRow,
    columns,
    patch,
    pool_row,
)
from ponder.evals.pools import PoolProblem
from ponder.evals.rows import Row
from ponder.search.selection import (
    SELECTORS,
    Aggregation,
    Ballot,
    aggregate,
    best_of_n,
)
from ponder.session.ending import ballot
from ponder.trace import Trace
from ponder.types import Candidate

_ORDER = (
    *("problem", "solution", "answer", "subject", "level", "unique_id"),
    *("completions", "scores", "pred", "completion_tokens", "agg_scores"),
)
_OWN = {*PoolProblem.model_fields, *SalRow.model_fields, POOL_COLUMN}
"""Keys of a pool's problem that are no columns of their own."""
_PREDICTIONS = {"pred_weighted": "weighted", "pred_maj": "majority", "pred_naive": "best_of_n"}
"""sal's columns by selector."""


def sal_row(
    problem: PoolProblem,
    trace: Trace,
    *,
    ranking: str | None,
    rescored: bool,
    aggregation: Aggregation,
) -> Json:
    """A finished problem as a row; an imported row comes back as it was.

    `problem` is the trace's as a pool has it. `ranking` names the scores that predictions are made
    by; `rescored` says that they take the place of an imported row's own. What sal has no column
    for stands in the column `ponder`, unless the row came from sal.
    """
    row = problem.row()
    imported = KEPT in row
    shared = restored(columns(row), row[KEPT]) if imported else columns(row) | _extras(row)
    if rescored or not imported:
        old = [name for name in shared if name == "pred" or name.startswith("pred_")]
        shared = {name: value for name, value in shared.items() if name not in old}
        if rescored and ranking is not None:
            shared |= _scored(trace.candidates, ranking)
        shared |= _predicted(trace.candidates, ranking, aggregation)
    ordered = _ordered(shared)
    if not imported:
        rebuilt = pool_row(Row("the exported row", ordered), "best_of_n")
        ordered[POOL_COLUMN] = patch(row, rebuilt)
    return ordered


def _extras(row: Json) -> Json:
    """The problem's own further keys, as the columns that they come from."""
    return {key: value for key, value in row.items() if key not in _OWN}


def _scored(candidates: Sequence[Candidate], ranking: str) -> Json:
    """The scores of that name as sal's column."""
    scores = [candidate.scores.get(ranking) for candidate in candidates]
    return {"scores": [list(steps) if steps else None for steps in scores]}


def _predicted(
    candidates: Sequence[Candidate], ranking: str | None, aggregation: Aggregation
) -> Json:
    """What each selector chooses of the first n completions, n = 1, 2, 4, ..."""
    ballots = [ballot(candidate, ranking, aggregation) for candidate in candidates]
    predicted: Json = {}
    if ranking is not None:
        steps = [candidate.scores.get(ranking) for candidate in candidates]
        predicted["agg_scores"] = [aggregate(one, aggregation) if one else None for one in steps]
        best = best_of_n(ballots)
        predicted["pred"] = "" if best is None else candidates[best].text
    for n in _sizes(len(candidates)):
        for column, selector in _PREDICTIONS.items():
            if ranking is not None or selector == "majority":
                predicted[f"{column}@{n}"] = _boxed(candidates, ballots[:n], selector)
    return predicted


def _sizes(count: int) -> Iterable[int]:
    """The powers of two up to `count`."""
    return (2**power for power in range(count.bit_length()))


def _boxed(candidates: Sequence[Candidate], ballots: Sequence[Ballot], selector: str) -> str:
    """The chosen answer as sal writes one; empty where none is chosen."""
    index = SELECTORS[selector](ballots)
    answer = None if index is None else candidates[index].answer
    return f"\\boxed{{{answer.raw if answer else ''}}}"


def _ordered(row: Mapping[str, object]) -> Json:
    """The columns in sal's order, others after them."""
    known = [name for name in _ORDER if name in row]
    return {name: row[name] for name in (*known, *(key for key in row if key not in _ORDER))}
