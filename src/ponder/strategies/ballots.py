"""A sample's vote, for strategies that look at votes before they end."""

from __future__ import annotations

from ponder.search.selection import Aggregation, Ballot, aggregate
from ponder.session.base import Session
from ponder.types import Sample, StepScores


async def ballot_of(session: Session, sample: Sample, aggregation: Aggregation) -> Ballot:
    """The group of the sample's answer and its score, as a selector will see them.

    A failed sample and one that the budget cut have neither; without a verifier there is no score.
    """
    if sample.failed or sample.cut:
        return Ballot(None, None)
    score = await scored(session, sample, aggregation)
    raw = session.answers.extract(sample.prefix.text)
    return Ballot(None if raw is None else (await session.answers.parse(raw)).key, score)


async def scored(session: Session, sample: Sample, aggregation: Aggregation) -> float | None:
    """The sample's score; None without a verifier, or where it could not be scored."""
    if sample.failed or not session.verifiers:
        return None
    [scores] = await session.score([sample.prefix])
    if not isinstance(scores, StepScores) or not scores.scores:
        return None
    return aggregate(scores.scores, aggregation)
