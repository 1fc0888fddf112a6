"""A weighted mean of several verifiers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import fsum, inf

from ponder.errors import EngineError, UsageError, VerifierError, VerifierLostError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import Verifier, VerifierInfo, reads_question


@dataclass(frozen=True, slots=True)
class MixVerifier:
    """The weighted mean of its parts' scores, each first put on 0 to 1 by its stated range.

    It scores steps if any part does: then a part that scores solutions counts with its one score
    at every step. If all parts score solutions, so does the mix. A prefix that one part could not
    score is a failure. Tokens are summed, unknown if any part does not tell. It estimates
    correctness only if all parts do.
    """

    parts: Sequence[tuple[Verifier, float]]
    """Each with its weight, over 0; only their ratios count."""
    name: str = "mix"

    def __post_init__(self) -> None:
        check_weights([(part.info, weight) for part, weight in self.parts])

    @property
    def info(self) -> VerifierInfo:
        """A score in [0, 1]; the identity names all parts and weights."""
        return info_of_mix([(part.info, weight) for part, weight in self.parts], self.name)

    @property
    def reads_question(self) -> bool:
        """Any part does."""
        return any(reads_question(part) for part, _ in self.parts)

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Ask all parts at once, then mix prefix by prefix."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_ask(part, problem, prefixes)) for part, _ in self.parts]
        by_prefix = zip(prefixes, *(task.result() for task in tasks), strict=True)
        return [self._mix(prefix, answers) for prefix, *answers in by_prefix]

    async def aclose(self) -> None:
        """Close all parts, also when one of them fails to."""
        async with AsyncExitStack() as stack:
            for part, _ in self.parts:
                stack.push_async_callback(part.aclose)

    def _mix(
        self, prefix: Prefix, answers: Sequence[StepScores | ScoreFailure]
    ) -> StepScores | ScoreFailure:
        pairs = zip(self.parts, answers, strict=True)
        told = [(part.info, weight, answer) for (part, weight), answer in pairs]
        return mixed(told, prefix.depth)


def check_weights(parts: Sequence[tuple[VerifierInfo, float]]) -> None:
    """Raise UsageError for a mix of nothing, a weight that is none, or a range without ends."""
    if not parts:
        raise UsageError("a mix needs at least one part, got none")
    for info, weight in parts:
        if not 0 < weight < inf:
            raise UsageError(f"the weight of {info.name!r} in a mix must be over 0, got {weight}")
        if not -inf < info.low < info.high < inf:
            raise UsageError(
                f"{info.name!r} scores from {info.low} to {info.high}: a mix puts its parts on "
                "0 to 1, so each needs a range with ends"
            )


def info_of_mix(parts: Sequence[tuple[VerifierInfo, float]], name: str) -> VerifierInfo:
    """What a mix of such verifiers with such weights is."""
    weighted = ";".join(f"{weight}*{info.identity}" for info, weight in parts)
    correctness = all(info.estimates == "correctness" for info, _ in parts)
    return VerifierInfo(
        name,
        f"mix-1({weighted})",
        "steps" if any(info.scores == "steps" for info, _ in parts) else "solution",
        0.0,
        1.0,
        "correctness" if correctness else "value",
    )


def mixed(
    told: Sequence[tuple[VerifierInfo, float, StepScores | ScoreFailure]], steps: int
) -> StepScores | ScoreFailure:
    """The weighted mean of what verifiers said of one prefix of so many steps.

    `told` is who said it, with which weight, and what.
    """
    count = steps if any(info.scores == "steps" for info, _, _ in told) else 1
    columns: list[tuple[float, ...]] = []
    answers: list[StepScores] = []
    for info, _, answer in told:
        if isinstance(answer, ScoreFailure):
            return ScoreFailure(f"{info.name}: {answer.reason}")
        columns.append(_scaled(info, answer.scores, count))
        answers.append(answer)
        if len(columns[-1]) != count:
            return ScoreFailure(f"{info.name}: {len(columns[-1])} scores for {count} steps")
    weights = [weight for _, weight, _ in told]
    means = (_mean(scores, weights) for scores in zip(*columns, strict=True))
    return StepScores(tuple(means), _tokens(answers))


def _mean(scores: Sequence[float], weights: Sequence[float]) -> float:
    weighted = fsum(w * s for w, s in zip(weights, scores, strict=True))
    return min(max(weighted / fsum(weights), 0.0), 1.0)


async def _ask(
    part: Verifier, problem: Problem, prefixes: Sequence[Prefix]
) -> list[StepScores | ScoreFailure]:
    """The part's answers; an error of the whole part fails every prefix, but if it is lost."""
    try:
        return await part.score(problem, prefixes)
    except VerifierLostError:
        raise
    except (VerifierError, EngineError, OSError) as error:
        return [ScoreFailure(str(error) or type(error).__name__) for _ in prefixes]


def _scaled(info: VerifierInfo, scores: tuple[float, ...], count: int) -> tuple[float, ...]:
    """Scores on 0 to 1; a solution's one score is repeated `count` times."""
    spread = tuple((score - info.low) / (info.high - info.low) for score in scores)
    return spread * count if info.scores == "solution" else spread


def _tokens(answers: Sequence[StepScores]) -> tuple[int, ...] | None:
    """The parts' tokens added up, part of the input by part; None if one verifier is silent."""
    known = [answer.tokens for answer in answers if answer.tokens is not None]
    if len(known) < len(answers):
        return None
    return tuple(map(sum, zip(*filter(None, known), strict=True)))
