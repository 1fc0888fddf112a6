"""Samples that a stopping rule looks at one by one: simulated ones, and those of a run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.evals.graded import GradedCandidate, GradedProblem
from ponder.report.views import load_run
from ponder.search.selection import Ballot

KINDS = {"hard": (0.6, 2.4), "mixed": (0.8, 0.8), "easy": (2.4, 0.6)}
"""Of simulated problems: the beta distribution of the chance that a sample is right."""


class Drawn(NamedTuple):
    """One sample: its vote and what it took."""

    ballot: Ballot
    tokens: int
    right: bool


def simulated(kind: str, n: int, rng: random.Random) -> list[Drawn]:
    """The samples of one problem.

    Right with a chance of its own; wrong answers repeat, the common ones more often; scores tell
    right from wrong as a verifier of AUC about 0.85 does; lengths are lognormal.
    """
    chance = rng.betavariate(*KINDS[kind])
    samples = []
    for _ in range(n):
        right = rng.random() < chance
        key = "right" if right else f"wrong {int(rng.paretovariate(0.9))}"
        score = rng.betavariate(3, 1.5) if right else rng.betavariate(1.5, 3)
        tokens = max(1, int(rng.lognormvariate(5, 0.5)))
        samples.append(Drawn(Ballot(key, score), tokens, right))
    return samples


def kept(run: Path, score: str | None) -> list[list[Drawn]]:
    """The samples of a graded run, problem by problem, in the order in which they were drawn.

    `score` names what ranks them, by default the run's own. Raises UsageError for a search, for
    samples whose tokens are not told, and for scores outside [0, 1], of which the exact rules say
    nothing.
    """
    measured = load_run(run, score=score).measured
    if not measured.sampled:
        raise UsageError(f"{run} is a search, or some of its samples were stopped early: {_MEND}")
    problems = [_problem(run, problem) for problem in measured.problems if problem.candidates]
    if not problems:
        raise UsageError(f"{run} holds no sample: {_MEND}")
    return problems


_MEND = "name a run of the strategy `sample` without stopping, or an imported pool"


def _problem(run: Path, problem: GradedProblem) -> list[Drawn]:
    try:
        return [_drawn(candidate) for candidate in problem.candidates]
    except ValueError as error:
        raise UsageError(f"{run}: a sample of problem {problem.id!r} {error}") from error


def _drawn(candidate: GradedCandidate) -> Drawn:
    if candidate.tokens is None:
        raise ValueError("does not tell its tokens: savings are counted in them")
    if candidate.score is not None and not 0 <= candidate.score <= 1:
        raise ValueError(f"has the score {candidate.score:g}: exact rules need scores in [0, 1]")
    return Drawn(candidate.ballot, candidate.tokens, candidate.correct)
