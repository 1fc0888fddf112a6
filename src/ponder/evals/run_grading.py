"""The grading of a run: every candidate, by the run's own answer kind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, cast

from ponder.answers.registry import answer_kind
from ponder.evals.grading import Grader, Verdict
from ponder.evals.grading_kinds import Given, grading_of
from ponder.store.run import RunStore
from ponder.types import NodePath


class Graded(NamedTuple):
    """What came of grading a run."""

    candidates: int
    right: int
    failed: Counter[str]
    """Why answers could not be graded, and how many: they count as not right."""

    @property
    def failures(self) -> str:
        """The same in words."""
        reason, *others = self.failed
        more = f" (and {len(others)} other reasons)" if others else ""
        count = self.failed.total()
        return f"{count} answers could not be graded and count as wrong: {reason}{more}"


async def grade_run(store: RunStore, grader: Grader) -> Graded:
    """Grade every candidate of the run by its reference, as its answer kind says.

    One without an answer is not right; nor is one that cannot be graded, and the run's provenance
    then says why under `grading`.
    """
    places, given = await asyncio.to_thread(_candidates, store)
    answered = [one for one in given if one is not None]
    study = cast("Mapping[str, str | None]", store.recipe()["study"])
    kind = answer_kind(study.get("answer"))
    async with grading_of(kind, grader) as grading:
        verdicts = iter(await grading.grade(answered))
    found = [Verdict(False) if one is None else next(verdicts) for one in given]
    grades = {place: verdict.equal for place, verdict in zip(places, found, strict=True)}
    failed = Counter(verdict.failed for verdict in found if verdict.failed)
    store.set_grades("ours", grades)
    known = {"answer": kind.name, "failed": dict(failed.most_common())}
    store.set_provenance({**store.provenance(), "grading": known})
    return Graded(len(grades), sum(grades.values()), failed)


def _candidates(store: RunStore) -> tuple[list[tuple[str, NodePath]], list[Given | None]]:
    """Every candidate whose problem has a reference, and its answer if it states one."""
    examples = {one.problem.id: one for one in store.examples() if one.reference is not None}
    places: list[tuple[str, NodePath]] = []
    given: list[Given | None] = []
    for trace in store.traces():
        example = examples.get(trace.problem_id)
        for candidate in () if example is None else trace.candidates:
            answer = candidate.answer
            places.append((trace.problem_id, candidate.path))
            given.append(None if answer is None or example is None else Given(example, answer.raw))
    return places, given
