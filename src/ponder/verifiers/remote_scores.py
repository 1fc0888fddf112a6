"""Scores of token sequences by a server: known ones from memory, new ones in the cheapest order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import NamedTuple

from ponder.types import Problem
from ponder.verifiers.remote_connection import all_answers
from ponder.verifiers.remote_counts import Bill, RemoteCounts
from ponder.verifiers.remote_memory import ScoreMemory, Scores
from ponder.verifiers.reward_formats import Place, Reading


class Run(NamedTuple):
    """One request: a sequence of token ids, and where in it scores are read."""

    token_ids: tuple[int, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class RemoteScores:
    """Asks for each score once, as long as its problem lives."""

    ask: Callable[[Run, Bill], Awaitable[Scores]]
    """A score for each place of a run. Bills each request; raises RequestError."""
    together: bool
    """Whether a request answers all places of a sequence, or one place, at its end."""
    counts: RemoteCounts
    memory: ScoreMemory = field(default_factory=ScoreMemory)

    async def of(self, problem: Problem, reading: Reading) -> dict[Place, float]:
        """The score at each place that is read. Raises RequestError, the first that came.

        The longest request goes first and alone: most others begin it, so the server then finds
        all their tokens in its cache but those of a last block.
        """
        runs = _runs(reading, together=self.together)
        runs.sort(key=lambda run: len(run.token_ids), reverse=True)
        scores: dict[Place, float] = {}
        for wave in (runs[:1], runs[1:]):
            answers = await all_answers([self._scores(problem, run) for run in wave])
            for run, answer in zip(wave, answers, strict=True):
                scores.update(zip(run.places, answer, strict=True))
        return scores

    async def _scores(self, problem: Problem, run: Run) -> Scores:
        bill = partial(self.counts.answered, problem, run.token_ids)
        key = (*run.token_ids, -1, *(place.token for place in run.places))
        return await self.memory.once(problem, key, partial(self.ask, run, bill))


def _runs(reading: Reading, *, together: bool) -> list[Run]:
    places = sorted({place for place in reading.places if place is not None})
    if not together:
        sequences = reading.sequences
        return [
            Run(tuple(sequences[place.sequence][: place.token + 1]), (place,)) for place in places
        ]
    return [
        Run(tuple(reading.sequences[number]), tuple(of_one))
        for number, of_one in groupby(places, key=lambda place: place.sequence)
    ]
