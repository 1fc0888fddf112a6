"""Monte-Carlo step labels: how often a model ends right from each step of its solutions."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, cast

from ponder.answers.base import AnswerKind, kind_for
from ponder.engines.base import Engine
from ponder.errors import EngineError
from ponder.evals.grading_kinds import Given, Grading
from ponder.evals.score_many import Watch
from ponder.runner import unwrapped
from ponder.session import Slots
from ponder.session.calls import seed_of
from ponder.training.graded_runs import GradedProblem, GradedRun
from ponder.training.label_log import Counted, LabelLog
from ponder.training.step_tree import Path
from ponder.types import Completion, Prefix, Sampling

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Asked(NamedTuple):
    """A step whose value is wanted."""

    problem: GradedProblem
    step: Path
    prefix: Prefix
    """Ends with the step."""
    used: int
    """Tokens that the solution had taken by then."""


class _Failures(NamedTuple):
    """Why completions failed."""

    drawing: list[str]
    grading: list[str]


class Labelled(NamedTuple):
    """What a labelling did."""

    steps: int
    """Distinct ones, without those that end a solution."""
    kept: int
    """Labelled before."""
    added: int
    failed: int
    """Steps of which every completion failed; the next labelling tries them again."""
    reason: str | None
    """Why the first completion that failed did, of those that `failed` or `ungraded` tells of."""
    ungraded: int = 0
    """Completions that failed since their answer could not be graded."""

    @property
    def left(self) -> int:
        """Steps that were not asked about, because the labelling was stopped."""
        return self.steps - self.kept - self.added - self.failed


def steps_of(run: GradedRun) -> Iterator[Asked]:
    """The distinct steps from which a solution that counts goes on, in the run's order.

    A solution's last step is left out: its value is the solution's grade.
    """
    for problem in run.problems:
        found: dict[Path, Asked] = {}
        for candidate in problem.counted:
            node = problem.prefixes[candidate].parent
            for number in reversed(problem.steps.ways[candidate][:-1]):
                assert node is not None
                step = problem.steps.paths[number]
                if step not in found:
                    found[step] = Asked(problem, step, node, _used(node, problem, candidate))
                node = node.parent
        yield from sorted(found.values(), key=lambda asked: len(asked.step))


def _used(prefix: Prefix, problem: GradedProblem, candidate: int) -> int:
    """Tokens of the first steps of a candidate.

    Where the engine told no token ids, the candidate's tokens by the steps' share of its text; 0 if
    it told no tokens either.
    """
    told = [step.token_ids for step in prefix.steps]
    known = [ids for ids in told if ids is not None]
    if len(known) == len(told):
        return sum(map(len, known))
    tokens = problem.trace.candidates[candidate].tokens or 0
    return round(tokens * len(prefix.text) / len(problem.prefixes[candidate].text))


@dataclass(frozen=True, slots=True)
class Labeller:
    """Draws completions from steps with the engine of the run, and grades them."""

    engine: Engine
    slots: Slots
    sampling: Sampling
    """The run's own."""
    answers: AnswerKind
    grading: Grading
    """Of these answers."""
    log: LabelLog
    """Says how many completions to draw from each step, and keeps what came of them."""
    watch: Watch
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Once set, no further step is begun."""

    async def label(self, run: GradedRun) -> Labelled:
        """Label the run's steps that the log does not know; a failure is counted, not raised."""
        asked = list(steps_of(run))
        left = [one for one in asked if (one.problem.id, one.step) not in self.log.known]
        self.watch.expect(len(left))
        failures = _Failures([], [])
        added = begun = 0

        async def label_one(one: Asked, rank: int) -> None:
            nonlocal added
            counted = await self._counted(one, rank, failures)
            if counted is not None:
                self.log.add(one.problem.id, one.step, counted)
                added += 1
            self.watch.advance(1)

        async with unwrapped(), asyncio.TaskGroup() as group:
            for rank, one in enumerate(left):
                await self.slots.vacancy()
                if self.stop.is_set():
                    break
                begun += 1
                await self.slots.asked(rank, group.create_task(label_one(one, rank)))
        lost = begun - added
        drawing, grading = failures
        reason = next(iter(drawing + grading if lost else grading + drawing), None)
        kept, ungraded = len(asked) - len(left), len(failures.grading)
        return Labelled(len(asked), kept, added, lost, reason, ungraded)

    async def _counted(self, one: Asked, rank: int, failures: _Failures) -> Counted | None:
        """How many completions ended right; None if all failed.

        One whose answer cannot be graded has failed too: nothing is known of its end.
        """
        completions = await self._draw(one, rank)
        failures.drawing.extend(done.error for done in completions if done.error is not None)
        texts = [one.prefix.text + done.text for done in completions if done.error is None]
        example = one.problem.example
        extracted = map(kind_for(self.answers, example.problem).extract, texts)
        given = [Given(example, raw) for raw in extracted if raw is not None]
        verdicts = await self.grading.grade(given)
        ungraded = [verdict.failed for verdict in verdicts if verdict.failed is not None]
        failures.grading.extend(ungraded)
        known = len(texts) - len(ungraded)
        return Counted(sum(verdict.equal for verdict in verdicts), known) if known else None

    async def _draw(self, one: Asked, rank: int) -> list[Completion]:
        """All completions of a step, as many at once as there are slots."""
        sampling = self._sampling(one.used)
        waiting = [_seed(self.log.seed, one, number) for number in range(self.log.completions)]
        async with asyncio.TaskGroup() as group:
            tasks = []
            while waiting:
                admitted = await self.slots.acquire(rank, len(waiting))
                now, waiting = waiting[:admitted], waiting[admitted:]
                tasks.append(group.create_task(self._generate(one.prefix, sampling, now)))
        return [completion for task in tasks for completion in task.result()]

    def _sampling(self, used: int) -> Sampling:
        """To the solution's end, within the tokens that the step leaves of its limit."""
        return replace(self.sampling.whole(), max_tokens=max(self.sampling.max_tokens - used, 1))

    async def _generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """One call of the engine; a slot is held for each seed until its completion has ended."""
        ended: list[Completion] = []
        reason = "the engine ended without this sample"
        calls = cast(
            "AsyncGenerator[Completion, None]", self.engine.generate(prefix, sampling, seeds)
        )
        try:
            async with aclosing(calls):
                async for completion in calls:
                    ended.append(completion)
                    self.slots.release()
        except (EngineError, OSError) as error:
            reason = str(error) or type(error).__name__
        finally:
            self.slots.release(len(seeds) - len(ended))
        lost = len(seeds) - len(ended)
        return [*ended, *(Completion(0, "", "aborted", error=reason) for _ in range(lost))]


def _seed(seed: int, one: Asked, number: int) -> int:
    """Of one completion: other than the run's own samples, and the same in any order."""
    step = hashlib.sha256(json.dumps(one.step).encode()).hexdigest()
    return seed_of(seed, f"label {one.problem.id} {step}", (number,))
