"""From samples and scores to the trace: nodes, candidates, the chosen one, the bill."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from ponder.answers.base import AnswerKind
from ponder.search.selection import SELECTORS, Aggregation, Ballot, aggregate
from ponder.session.base import Finish
from ponder.session.billing import VerifierBill
from ponder.session.scoring import Scoring
from ponder.trace import Node, Spent
from ponder.types import Candidate, Completion, NodePath, Sample, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo


def nodes_of(samples: Iterable[Sample], scoring: Scoring) -> tuple[Node, ...]:
    """The counted samples as nodes in (depth, path) order.

    The first of those that share steps bears what scoring these cost.
    """
    bill = VerifierBill()
    ordered = sorted(samples, key=lambda sample: (len(sample.path), sample.path))
    return tuple(node_of(sample, scoring, bill) for sample in ordered)


def node_of(sample: Sample, scoring: Scoring, bill: VerifierBill) -> Node:
    """One sample as a node, with what is known of its scores and what they add to the bill."""
    known = {} if sample.failed else scoring.of(sample.prefix)
    completion = sample.completion
    return Node(
        path=sample.path,
        parent=sample.parent,
        text=completion.text,
        ended=completion.ended,
        token_ids=completion.token_ids,
        scores=_scores(known),
        tokens=completion.usage.generated,
        prompt_tokens=completion.usage.prompt,
        verifier_tokens=bill.new_tokens(sample.prefix, known),
        error=completion.error,
        cut=sample.cut,
        retokenised=completion.retokenised,
    )


def _scores(
    known: Mapping[str, StepScores | ScoreFailure],
) -> dict[str, tuple[float, ...] | None]:
    return {
        name: None if isinstance(scores, ScoreFailure) else scores.scores
        for name, scores in known.items()
    }


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum, or None if any part is not told."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


async def candidates_of(
    finish: Finish,
    samples: Mapping[NodePath, Sample],
    scoring: Scoring,
    answers: AnswerKind,
) -> tuple[Candidate, ...]:
    """The solutions as candidates in (depth, path) order, their answers read and parsed."""
    ordered = sorted(finish.solutions, key=lambda sample: (len(sample.path), sample.path))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_candidate(solution, finish, samples, scoring, answers))
            for solution in ordered
        ]
    return tuple(task.result() for task in tasks)


async def _candidate(
    solution: Sample,
    finish: Finish,
    samples: Mapping[NodePath, Sample],
    scoring: Scoring,
    answers: AnswerKind,
) -> Candidate:
    text = solution.prefix.text
    raw = answers.extract(text)
    return Candidate(
        path=solution.path,
        text=text,
        scores=_scores(scoring.of(solution.prefix)),
        tokens=_total(part.completion.usage.generated for part in _way(solution, samples)),
        ended=solution.completion.ended,
        answer=None if raw is None else await answers.parse(raw),
        votes=not solution.cut and solution.path not in finish.superseded,
    )


def _way(solution: Sample, samples: Mapping[NodePath, Sample]) -> list[Sample]:
    """The samples that make up a solution's text, the last one first."""
    way = [solution]
    while way[-1].parent:
        way.append(samples[way[-1].parent])
    return way


def chosen_of(
    candidates: Sequence[Candidate], finish: Finish, verifiers: Sequence[VerifierInfo]
) -> Candidate | None:
    """The candidate that the strategy's selector picks among those that vote."""
    name = verifiers[0].name if verifiers else None
    ballots = [ballot(candidate, name, finish.aggregation) for candidate in candidates]
    index = SELECTORS[finish.selector](ballots)
    return None if index is None else candidates[index]


def why(candidates: Sequence[Candidate], chosen: Candidate, finish: Finish) -> str:
    """The choice in a line: how many agree with it, and by what they were ranked."""
    voting = [candidate for candidate in candidates if candidate.votes and candidate.answer]
    key = chosen.answer.key if chosen.answer else None
    agree = sum(
        candidate.answer is not None and candidate.answer.key == key for candidate in voting
    )
    ranked = "" if finish.selector == "majority" else f", ranked by the {finish.aggregation} score"
    return f"{finish.selector}: {agree} of {len(voting)} votes say so{ranked}"


def ballot(candidate: Candidate, verifier: str | None, aggregation: Aggregation) -> Ballot:
    """A candidate as the selectors see it: its voting key and its one score."""
    votes = candidate.votes and candidate.answer is not None
    scores = candidate.scores.get(verifier) if verifier else None
    return Ballot(
        candidate.answer.key if votes and candidate.answer else None,
        aggregate(scores, aggregation) if scores and candidate.votes else None,
    )


def spent_of(
    nodes: Sequence[Node],
    samples: Iterable[Sample],
    uncounted: Collection[Completion] | None,
    parameters: int | None,
    seconds: float,
) -> Spent:
    """The bill: counted nodes, and beside it what failed or came too late.

    `uncounted` is what ended without counting; None when something was ended midway.
    """
    good = [node for node in nodes if node.error is None]
    failed = [node.tokens for node in nodes if node.error is not None]
    late = [completion.usage.generated for completion in uncounted or ()]
    generated, prompt = _total(n.tokens for n in good), _total(n.prompt_tokens for n in good)
    cached = _total(s.completion.usage.cached for s in samples if not s.failed)
    return Spent(
        generated=generated,
        prompt=prompt,
        cached=cached,
        verifier=_total(node.verifier_tokens for node in nodes),
        wasted=None if uncounted is None else sum(count or 0 for count in (*failed, *late)),
        calls=len(nodes) + len(late),
        flops=_flops(parameters, generated, prompt, cached),
        seconds=seconds,
    )


def _flops(
    parameters: int | None, generated: int | None, prompt: int | None, cached: int | None
) -> float | None:
    """Two operations a parameter and computed token (Kaplan et al. 2020, section 2.1)."""
    if parameters is None or generated is None or prompt is None:
        return None
    return 2.0 * parameters * (generated + prompt - (cached or 0))
