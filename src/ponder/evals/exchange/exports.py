"""A run's candidates as rows for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, cast

from ponder.evals.exchange.by_id import without_problem
from ponder.evals.exchange.remainder import Json
from ponder.evals.exchange.sal_export import sal_row
from ponder.evals.outcomes import ranking_name
from ponder.evals.pool_export import export_problem
from ponder.evals.pools import PoolProblem
from ponder.search.selection import Aggregation
from ponder.store.reading import RunReader
from ponder.trace import Trace
from ponder.types import NodePath

ExportFormat = Literal["pool", "sal"]

_SAL_NAMES = {"beam_search": "beam_search", "dvts": "dvts"}
"""sal's own word for a strategy; any other is its best of N."""


class Ranking(NamedTuple):
    """What candidates are ranked by."""

    name: str | None
    """The scores' name; None: there are none."""
    chosen: bool
    """It was asked for by name."""
    aggregation: Aggregation


def export_rows(
    folder: Path, format: ExportFormat, score: str | None = None, *, problems: bool = True
) -> list[Json]:
    """The finished problems of a run as rows of the format.

    Without `problems` a pool has their ids alone: no question, reference or other column.

    `score` names the scores that become the ranking score; by default the run's own. Raises
    UsageError for scores that no candidate has, or when several are there and none is named.
    """
    with RunReader(folder) as run:
        ranking = _ranking(run, score, needed=format == "sal")
        pairs = _problems(run, ranking)
        if format == "pool":
            return [(one if problems else without_problem(one)).row() for one, _ in pairs]
        return [
            sal_row(
                problem,
                trace,
                ranking=ranking.name,
                rescored=ranking.chosen,
                aggregation=ranking.aggregation,
            )
            for problem, trace in pairs
        ]


def default_name(folder: Path, format: ExportFormat) -> str:
    """What the file is called when nobody says; sal's names tell how the completions came about."""
    if format == "pool":
        return "pool.jsonl"
    with RunReader(folder) as run:
        study = cast("dict[str, object]", run.recipe()["study"])
    named = study.get("approach") or _SAL_NAMES.get(str(study.get("strategy")), "best_of_n")
    return f"{named}_completions.jsonl"


def _ranking(run: RunReader, score: str | None, *, needed: bool) -> Ranking:
    study = cast("dict[str, object]", run.recipe()["study"])
    aggregation = cast("Aggregation", study.get("aggregation") or "last")
    if score is None and not needed:
        infos = run.provenance().get("verifiers")
        named = infos[0]["name"] if isinstance(infos, list) and infos else None
        return Ranking(named, chosen=False, aggregation=aggregation)
    traces = run.traces() if score is None else run.scored_traces()
    candidates = (candidate for trace in traces for candidate in trace.candidates)
    return Ranking(ranking_name(candidates, score), score is not None, aggregation)


def _problems(run: RunReader, ranking: Ranking) -> Iterator[tuple[PoolProblem, Trace]]:
    """Each finished problem as a line of a pool, with its trace."""
    examples = {example.problem.id: example for example in run.examples()}
    by_problem: dict[str, dict[NodePath, bool]] = {}
    for (name, path), right in (run.grades("imported") or run.grades("ours")).items():
        by_problem.setdefault(name, {})[path] = right
    for trace in run.scored_traces():
        problem = export_problem(
            examples[trace.problem_id],
            trace,
            by_problem.get(trace.problem_id, {}),
            ranking=ranking.name,
            rescored=ranking.chosen,
            aggregation=ranking.aggregation,
        )
        yield problem, trace
