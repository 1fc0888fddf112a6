"""Re-scoring: another verifier's scores for the candidates that a run holds already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ponder.errors import StoreError, UsageError
from ponder.evals.pools import SCORE, STEP_SCORES
from ponder.evals.score_many import Answered, Asked, Batch, Pace, Scorer
from ponder.evals.stored_steps import candidate_prefixes, check_questions, run_separator
from ponder.session.billing import VerifierBill
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.store.score_sets import AddedScores, ScoreSet, fingerprint
from ponder.trace import Trace
from ponder.types import Candidate, NodePath, Problem, ScoreFailure
from ponder.verifiers.base import Verifier, VerifierInfo, reads_question


class Rescored(NamedTuple):
    """What came of scoring a run's candidates."""

    candidates: int
    """All that the run holds."""
    kept: int
    """Scored before, and left as they were."""
    added: int
    failed: int
    reason: str | None
    """Why the first one failed."""
    pace: Pace

    @property
    def left(self) -> int:
        """Candidates that were not asked about, because the scoring was stopped."""
        return self.candidates - self.kept - self.added - self.failed


@dataclass(frozen=True, slots=True)
class StoredCandidates:
    """A run's candidates, cut into steps."""

    run: RunReader
    separator: str
    """Ends a step."""
    limit: int | None = None
    """Only the first so many problems."""

    @classmethod
    def of(
        cls, run: RunReader, separator: str | None = None, limit: int | None = None
    ) -> StoredCandidates:
        """With the separator of the run's own recipe unless another one is given."""
        return cls(run, run_separator(run) if separator is None else separator, limit)

    def settings(self, info: VerifierInfo) -> dict[str, object]:
        """What a verifier's scores depend on: a set of scores is kept with it."""
        return {"verifier": info._asdict(), "separator": self.separator}

    def traces(self) -> Iterator[Trace]:
        """The problems' traces, one in memory at a time."""
        return islice(self.run.traces(), self.limit)

    def check_questions(self, verifier: Verifier, source: Path | None = None) -> None:
        """Raise UsageError where the verifier reads questions and the run, or `source`, has none.

        A pool may be imported by its problems' ids alone.
        """
        if reads_question(verifier):
            finished = self.run.finished()
            known = (e.problem for e in self.run.examples() if e.problem.id in finished)
            check_questions(source or self.run.folder, islice(known, self.limit))

    def batches(self, known: ScoreSet) -> Iterator[Batch[Candidate]]:
        """A batch a problem: the candidates that `known` has no score of.

        One that could not be scored before is among them.
        """
        problems = {example.problem.id: example.problem for example in self.run.examples()}
        for trace in self.traces():
            left = unscored(trace, known)
            if left:
                # Dropped here: what a verifier keeps of a problem goes with its object.
                problem = problems.pop(trace.problem_id, None)
                if problem is None:
                    raise StoreError(f"{self.run.folder} lost the problem {trace.problem_id!r}")
                steps = candidate_prefixes(self.run, problem, trace, left, self.separator)
                yield Batch(problem, [Asked(c, (p,)) for c, p in zip(left, steps, strict=True)])


async def rescore(
    store: RunStore, scorer: Scorer, name: str, *, separator: str | None = None
) -> Rescored:
    """Add the verifier's scores to the candidates of a run, as the set `name`.

    Each problem's scores are kept as they come, so that the same call goes on after an
    interruption; candidates that failed are tried again. Traces stay as they are. Raises
    StoreError if the set was scored by another verifier or with other steps, UsageError for a
    name that the candidates' own scores have, and where the verifier reads questions and the run
    has none.
    """
    stored = StoredCandidates.of(store, separator)
    await asyncio.to_thread(stored.check_questions, scorer.verifier)
    known = await asyncio.to_thread(store.added_scores, name)
    total, left = await asyncio.to_thread(_survey, stored, known, name)
    store.open_scores(name, stored.settings(scorer.verifier.info))
    reasons: list[str | None] = []

    def keep(problem: Problem, answered: Sequence[Answered[Candidate]]) -> None:
        store.add_scores(name, as_added(problem, answered))
        reasons.extend(reason_of(one) for one in answered)

    scorer.expect(left)
    pace = await scorer.score(stored.batches(known), keep)
    failed = [reason for reason in reasons if reason is not None]
    added = len(reasons) - len(failed)
    return Rescored(total, total - left, added, len(failed), next(iter(failed), None), pace)


def billed(run: RunReader, traces: Iterable[Trace], name: str) -> Iterator[Trace]:
    """The traces with what the added set `name` cost as their verifier tokens.

    A problem with a candidate that the set does not score, or whose tokens are not told, has None.
    """
    known, separator = run.added_scores(name), str(run.score_sets()[name]["separator"])
    problems = {example.problem.id: example.problem for example in run.examples()}
    for trace in traces:
        problem = problems[trace.problem_id]
        read = candidate_prefixes(run, problem, trace, trace.candidates, separator)
        bill, costs = VerifierBill(), list[int | None]()
        for candidate, prefix in zip(trace.candidates, read, strict=True):
            added = known.get((trace.problem_id, candidate.path))
            costs.append(bill.new_tokens(prefix, {name: added.scores}) if added else None)
        told = [cost for cost in costs if cost is not None]
        total = sum(told) if len(told) == len(costs) else None
        yield replace(trace, spent=replace(trace.spent, verifier=total))


def unscored(trace: Trace, known: ScoreSet) -> list[Candidate]:
    """The trace's candidates that have no score in `known`, or one of another text."""
    return [c for c in trace.candidates if not _is_scored(known, trace.problem_id, c)]


def as_added(
    problem: Problem, answered: Sequence[Answered[Candidate]]
) -> dict[tuple[str, NodePath], AddedScores]:
    """One problem's answers as a set of scores."""
    return {
        (problem.id, candidate.path): AddedScores(fingerprint(candidate.text), answer)
        for candidate, (answer,) in answered
    }


def reason_of(answered: Answered[Candidate]) -> str | None:
    """Why a candidate could not be scored; None if it was."""
    (answer,) = answered.answers
    return answer.reason if isinstance(answer, ScoreFailure) else None


def _is_scored(known: ScoreSet, problem_id: str, candidate: Candidate) -> bool:
    added = known.get((problem_id, candidate.path))
    return added is not None and added.of(candidate) and not isinstance(added.scores, ScoreFailure)


def check_name(name: str) -> None:
    """Raise UsageError for what is no name of a set."""
    if not name.strip() or not name.isprintable():
        raise UsageError(f"`--name` must be printable and not empty, got {name!r}")


def check_unused(name: str, trace: Trace) -> None:
    """Raise UsageError where a candidate came with scores of that name."""
    if name in (SCORE, STEP_SCORES) or any(name in c.scores for c in trace.candidates):
        raise UsageError(f"{name!r} names scores that candidates come with: give another `--name`")


def _survey(stored: StoredCandidates, known: ScoreSet, name: str) -> tuple[int, int]:
    """The number of candidates, and of those to score; raises UsageError for a name in use."""
    check_name(name)
    total = left = 0
    for trace in stored.traces():
        check_unused(name, trace)
        total += len(trace.candidates)
        left += len(unscored(trace, known))
    if not total:
        raise UsageError(f"{stored.run.folder} has no candidates to score")
    return total, left
