"""A language model as the judge: k critiques of a solution, and what they say on average."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import ClassVar, Literal, NamedTuple

from ponder.errors import PonderError, UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores, Usage
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.judge_critiques import Critic, Turns
from ponder.verifiers.judge_prompts import JudgePrompt, Style
from ponder.verifiers.judge_verdicts import first_wrong_of, majority, verdict_of
from ponder.verifiers.reading import step_texts
from ponder.verifiers.remote_connection import RemoteConnection, all_answers


@dataclass(slots=True)
class JudgeCounts:
    """What judging cost so far; a count is None once a server did not tell it."""

    critiques: int = 0
    unparsable: int = 0
    """Critiques without a verdict: they were left out."""
    prompt: int | None = 0
    cached: int | None = 0
    generated: int | None = 0

    def add(self, usage: Usage) -> None:
        """Count one request."""
        self.prompt = _sum(self.prompt, usage.prompt)
        self.cached = _sum(self.cached, usage.cached)
        self.generated = _sum(self.generated, usage.generated)


class _Reading(NamedTuple):
    """What one critique says, and its tokens."""

    verdict: float | None
    """Probability of yes; of a critic, the index of the first wrong step. None: unparsable."""
    tokens: int | None


@dataclass(frozen=True, slots=True)
class JudgeVerifier:
    """Asks a model on any chat endpoint for `k` critiques of each prefix.

    `verdict` averages the yes and no that critiques end with, and scores the prefix as a whole.
    `forced` asks for the verdict itself and averages the probability of yes (ThinkPRM), where the
    server tells log-probabilities and goes on with a partial answer. `critic` asks for the first
    wrong paragraph and takes the majority (ProcessBench): steps before it score 1, it and all
    after it 0; an empty step is no paragraph and repeats the score before it.

    A critique without a readable verdict is left out, and so is one cut at `max_tokens` before its
    verdict (`forced` asks it all the same); a prefix fails when fewer than half are left, or when
    a request fails. Equal texts get equal seeds.
    """

    reads_question: ClassVar[bool] = True
    base_url: str
    model: str
    style: Style = "verdict"
    k: int = 8
    temperature: float = 0.4
    max_tokens: int = 2048
    """Of one critique."""
    prompt: str | None = None
    """A prompt file of one's own, with {problem} and {solution}."""
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 32
    timeout: float = 600.0
    """Seconds; an answer comes whole, so it bounds a whole critique."""
    name: str = "judge"
    counts: JudgeCounts = field(default_factory=JudgeCounts, init=False, compare=False)
    _prompt: JudgePrompt = field(init=False, repr=False)
    _critic: Critic = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for knob in ("k", "max_tokens"):
            if getattr(self, knob) < 1:
                raise UsageError(f"`{knob}` must be at least 1, got {getattr(self, knob)}")
        if self.temperature < 0:
            raise UsageError(f"`temperature` must be at least 0, got {self.temperature}")
        object.__setattr__(self, "_prompt", JudgePrompt.load(self.style, self.prompt))
        connection = RemoteConnection(
            self.base_url, self.api_key_env, self.concurrency, self.timeout
        )
        critic = Critic(connection, self.model, self.temperature, self.max_tokens)
        object.__setattr__(self, "_critic", critic)

    @property
    def info(self) -> VerifierInfo:
        """A score in [0, 1]; of a critic one a step, else one a prefix."""
        knobs = f"{self.model},{self.style},{self.k},{self.temperature},{self.max_tokens}"
        identity = f"judge-2({knobs},{self._prompt.digest})"
        scores: Literal["steps", "solution"] = "steps" if self.style == "critic" else "solution"
        return VerifierInfo(self.name, identity, scores, 0.0, 1.0, "correctness")

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Judge each prefix; equal ones once."""
        unique = {prefix.key: prefix for prefix in prefixes}
        async with asyncio.TaskGroup() as group:
            tasks = {
                key: group.create_task(self._judged(problem, prefix))
                for key, prefix in unique.items()
            }
        return [tasks[prefix.key].result() for prefix in prefixes]

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        await self._critic.connection.aclose()

    async def _judged(self, problem: Problem, prefix: Prefix) -> StepScores | ScoreFailure:
        texts = step_texts(prefix)
        paragraphs = [text for text in texts if text.strip()]
        if self.style == "critic" and not paragraphs:
            return StepScores((1.0,) * len(texts), (0,) * (len(texts) + 1))
        try:
            readings = await self._readings(problem, paragraphs)
        except PonderError as failure:
            return ScoreFailure(str(failure))
        verdicts = [reading.verdict for reading in readings if reading.verdict is not None]
        if 2 * len(verdicts) < self.k:
            return ScoreFailure(
                f"{len(verdicts)} of {self.k} critiques hold a verdict, fewer than half: "
                "raise `max_tokens`, or name another `prompt`"
            )
        tokens = _total([reading.tokens for reading in readings])
        told = None if tokens is None else (*(0,) * len(texts), tokens)
        return StepScores(self._scores(verdicts, texts), told)

    async def _readings(self, problem: Problem, paragraphs: Sequence[str]) -> list[_Reading]:
        """All critiques of one solution; a failed request ends the others and is raised."""
        turns = self._prompt.turns(problem.question, paragraphs)
        seeds = [_seed(turns, index) for index in range(self.k)]
        return await all_answers([self._reading(turns, seed, len(paragraphs)) for seed in seeds])

    async def _reading(self, turns: Turns, seed: int, paragraphs: int) -> _Reading:
        """One critique, read by style."""
        text, usage, cut = await self._critic.critique(turns, seed)
        self.counts.critiques += 1
        self.counts.add(usage)
        tokens = _sum(usage.prompt, usage.generated)
        verdict: float | None
        if self.style == "forced":
            verdict, forced = await self._critic.sureness(turns, text)
            self.counts.add(forced)
            tokens = _total([tokens, forced.prompt, forced.generated])
        elif cut:
            verdict = None
        elif self.style == "critic":
            verdict = first_wrong_of(text, paragraphs)
        else:
            verdict = verdict_of(text)
        self.counts.unparsable += verdict is None
        return _Reading(verdict, tokens)

    def _scores(self, verdicts: Sequence[float], texts: Sequence[str]) -> tuple[float, ...]:
        if self.style != "critic":
            return (fsum(verdicts) / len(verdicts),)
        wrong = majority([int(verdict) for verdict in verdicts])
        scores: list[float] = []
        paragraph = -1
        for text in texts:
            paragraph += bool(text.strip())
            scores.append(0.0 if 0 <= wrong <= paragraph else 1.0)
        return tuple(scores)


def _seed(turns: Turns, index: int) -> int:
    """31 bits of a hash of what is asked and which critique it is."""
    content = repr((turns, index)).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big") >> 1


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
