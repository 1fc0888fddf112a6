"""Stored candidates, ranked by a verifier's scores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

from ponder.answers.registry import answer_kind
from ponder.errors import VerifierError
from ponder.evals.measure import Measured, measure
from ponder.evals.pool_runs import keep_pool
from ponder.evals.rescore import StoredCandidates, as_added, unscored
from ponder.evals.score_many import Answered, Pace, Scorer
from ponder.search.selection import Aggregation
from ponder.store.reading import RunReader
from ponder.store.score_sets import AddedScores, with_scores
from ponder.store.study import plain
from ponder.types import Candidate, NodePath, Problem, ScoreFailure
from ponder.verifiers.base import Verifier

Known = dict[tuple[str, NodePath], AddedScores]
"""A `ScoreSet` that grows."""


class PoolOptions(NamedTuple):
    """How stored candidates are read."""

    separator: str | None = None
    """Ends a step; None: as in the run, or a blank line."""
    aggregation: Aggregation | None = None
    """None: as in the run, or `last`."""
    limit: int | None = None
    """Only the first so many problems."""


@asynccontextmanager
async def opened_pools(
    pools: Sequence[Path], verifier: Verifier, options: PoolOptions
) -> AsyncIterator[dict[Path, StoredCandidates]]:
    """Graded runs and files of candidates, to be read by the verifier.

    Raises UsageError for one without the questions that the verifier reads.
    """
    async with AsyncExitStack() as stack:
        opened = {}
        for pool in pools:
            run = await stack.enter_async_context(_opened(pool))
            opened[pool] = await asyncio.to_thread(
                StoredCandidates.of, run, options.separator, options.limit
            )
            await asyncio.to_thread(opened[pool].check_questions, verifier, pool)
        yield opened


async def judge_candidates(
    scorer: Scorer, pool: Path, stored: StoredCandidates, aggregation: Aggregation | None
) -> tuple[Measured, int, Pace]:
    """A pool's candidates ranked by the verifier, with the number of failures.

    Scores that `ponder score` kept of the very same verifier are read, not made again; the run is
    left as it is. Raises VerifierError if no candidate could be scored.
    """
    known, pace = await _candidate_scores(scorer, stored)
    failures = [s.scores.reason for s in known.values() if isinstance(s.scores, ScoreFailure)]
    if known and len(failures) == len(known):
        raise VerifierError(f"no candidate of {pool} could be scored: {failures[0]}")
    name = scorer.verifier.info.name
    measured = await asyncio.to_thread(_measured, stored, name, known, aggregation)
    return measured, len(failures), pace


@asynccontextmanager
async def _opened(pool: Path) -> AsyncIterator[RunReader]:
    """A run, or a file of candidates as a run that is gone afterwards."""
    if await asyncio.to_thread(pool.is_dir):
        with RunReader(pool) as run:
            yield run
        return
    answers = answer_kind("math")
    with TemporaryDirectory() as folder:
        try:
            await keep_pool(pool, Path(folder), answers)
        finally:
            await asyncio.to_thread(answers.close)
        with RunReader(Path(folder)) as run:
            yield run


async def _candidate_scores(scorer: Scorer, stored: StoredCandidates) -> tuple[Known, Pace]:
    """The scores of all candidates: those that the run has already, and what is asked for now."""
    known, left = await asyncio.to_thread(_kept_scores, scorer, stored)
    kept = dict(known)

    def keep(problem: Problem, answered: Sequence[Answered[Candidate]]) -> None:
        known.update(as_added(problem, answered))

    scorer.expect(left)
    pace = await scorer.score(stored.batches(kept), keep)
    return known, pace


def _kept_scores(scorer: Scorer, stored: StoredCandidates) -> tuple[Known, int]:
    """The added scores of the same verifier over the same steps, under whatever name.

    With the number of candidates that have none.
    """
    asked = plain(stored.settings(scorer.verifier.info))
    sets = stored.run.score_sets().items()
    name = next((name for name, settings in sets if settings == asked), None)
    kept = {} if name is None else stored.run.added_scores(name)
    known: Known = {}
    count = 0
    for trace in stored.traces():
        count += len(trace.candidates)
        scored = {c.path for c in trace.candidates} - {c.path for c in unscored(trace, kept)}
        known |= {(trace.problem_id, path): kept[trace.problem_id, path] for path in scored}
    return known, count - len(known)


def _measured(
    stored: StoredCandidates,
    name: str,
    known: Known,
    aggregation: Aggregation | None,
) -> Measured:
    study = cast("dict[str, object]", stored.run.recipe()["study"])
    return measure(
        stored.run.examples(),
        (with_scores(trace, {name: known}) for trace in stored.traces()),
        imported=stored.run.grades("imported"),
        ours=stored.run.grades("ours"),
        n=cast("int | None", study.get("n")),
        score=name,
        aggregation=aggregation or cast("Aggregation | None", study.get("aggregation")) or "last",
    )
