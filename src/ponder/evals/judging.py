"""From rated rows to a verifier's scores of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ponder.errors import VerifierError
from ponder.evals.process_bench import BenchSolution, Judged
from ponder.evals.score_many import Answered, Asked, Batch, Pace, Scorer
from ponder.evals.step_accuracy import RatedStep, ScoredStep
from ponder.search.steps import DEFAULT_SEPARATOR
from ponder.session.scoring import Scores
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores

Solution = tuple[str, Sequence[str]]
"""A question and the steps of a solution."""


async def judge_solutions(
    scorer: Scorer, solutions: Sequence[BenchSolution]
) -> tuple[list[Judged], Pace]:
    """The step scores of ProcessBench's solutions.

    A verifier of solutions is asked about each beginning of a solution: its score up to a step is
    the step's. Raises VerifierError if none could be scored.
    """
    whole = scorer.verifier.info.scores == "steps"
    asked = [(solution.problem, solution.steps) for solution in solutions]
    answers, pace = await _answers(scorer, asked, whole=whole)
    scored = zip(solutions, answers, strict=True)
    return [Judged(solution, _all_scores(own)) for solution, own in scored], pace


async def judge_steps(scorer: Scorer, steps: Sequence[RatedStep]) -> tuple[list[ScoredStep], Pace]:
    """The scores of PRM800K's steps, each after those before it.

    Raises VerifierError if none could be scored.
    """
    asked = [(step.instruction, (*step.responses, step.next_response)) for step in steps]
    answers, pace = await _answers(scorer, asked, whole=True)
    scores = [_all_scores(own) for own in answers]
    scored = zip(steps, scores, strict=True)
    return [ScoredStep(step, own[-1] if own else None) for step, own in scored], pace


async def _answers(
    scorer: Scorer, solutions: Sequence[Solution], *, whole: bool
) -> tuple[list[Sequence[Scores]], Pace]:
    """What the verifier says of each solution, or else of each of its beginnings."""
    found: dict[int, Sequence[Scores]] = {}

    def keep(_: Problem, answered: Sequence[Answered[int]]) -> None:
        found.update(answered)

    scorer.expect(len(solutions))
    pace = await scorer.score(_batches(solutions, whole=whole), keep)
    answers = [found[place] for place in range(len(solutions))]
    failures = [_failure(own) for own in answers]
    if failures and None not in failures:
        raise VerifierError(f"no solution could be scored: {failures[0]}")
    return answers, pace


def _batches(solutions: Sequence[Solution], *, whole: bool) -> Iterator[Batch[int]]:
    """A batch a question; items are places in `solutions`."""
    places: dict[str, list[int]] = {}
    for place, (question, _) in enumerate(solutions):
        places.setdefault(question, []).append(place)
    for question, own in places.items():
        problem = Problem.ask(question)
        paths = ((place, _beginnings(problem, solutions[place][1])) for place in own)
        yield Batch(problem, [Asked(place, path[-1:] if whole else path) for place, path in paths])


def _beginnings(problem: Problem, texts: Sequence[str]) -> tuple[Prefix, ...]:
    """The solution up to each of its steps."""
    prefix, beginnings = Prefix.root(problem), []
    for text in texts:
        prefix = prefix.grow(Step(text + DEFAULT_SEPARATOR))
        beginnings.append(prefix)
    return tuple(beginnings)


def _failure(answers: Sequence[Scores]) -> str | None:
    return next((one.reason for one in answers if isinstance(one, ScoreFailure)), None)


def _all_scores(answers: Sequence[Scores]) -> tuple[float, ...] | None:
    """The scores of all prefixes in a row; None if one of them failed."""
    told = [one.scores for one in answers if isinstance(one, StepScores)]
    return tuple(s for scores in told for s in scores) if len(told) == len(answers) else None
