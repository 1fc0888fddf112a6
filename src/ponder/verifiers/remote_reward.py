"""A process or outcome reward model behind a server, scored step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar, Literal, NamedTuple

from ponder.errors import MissingExtraError, PonderError, UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.opening import OpenedOnce
from ponder.verifiers.reading import filled
from ponder.verifiers.remote_classify import ClassReader
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_counts import Bill, RemoteCounts
from ponder.verifiers.remote_labels import Label, LabelReader
from ponder.verifiers.remote_memory import Scores
from ponder.verifiers.remote_scores import RemoteScores, Run
from ponder.verifiers.reward_families import family_of
from ponder.verifiers.reward_family import Family
from ponder.verifiers.reward_formats import RewardFormat, text_of
from ponder.verifiers.reward_opening import open_tokenizer, pad_id
from ponder.verifiers.reward_scores import START, score_at

Mode = Literal["labels", "classify", "pooling"]


class _Parts(NamedTuple):
    written: RewardFormat
    scores: RemoteScores


@dataclass(frozen=True, slots=True)
class RewardServer:
    """A reward model served by vLLM, llama.cpp's server or any completions endpoint.

    `labels` reads two next-token probabilities, one token a new step. `classify` reads a
    classification head at the last token of a new step (vLLM; its cache is read). `pooling` reads
    it at all tokens of a prefix at once, and the server computes all of them each time: slow, and
    the only way that vLLM serves Qwen2.5-Math-PRM. Input is tokenised here and sent as ids.
    """

    reads_question: ClassVar[bool] = True
    base_url: str
    """As for OpenAI's own clients; `/v1` is added to a bare host."""
    model: str
    """The name that the server knows."""
    family: str | None = None
    """Its name or TOML file; None: chosen by the name of `tokenizer` or `model`."""
    mode: Mode | None = None
    """None: `labels` for a family of labels, else `classify`."""
    tokenizer: str | None = None
    """The checkpoint's name or folder; None: `model`."""
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 32
    """The most requests at once."""
    timeout: float = 120.0
    """The longest silence of the server, in seconds."""
    block_size: int = 16
    """Tokens of a block of the server's cache, for `counts` only; llama.cpp's is 1."""
    name: str = "reward-server"
    counts: RemoteCounts = field(init=False, repr=False, compare=False)
    _family: Family = field(init=False, repr=False)
    _connection: RemoteConnection = field(init=False, repr=False, compare=False)
    _parts: OpenedOnce[_Parts] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise UsageError(f"`block_size` must be at least 1, got {self.block_size}")
        connection = RemoteConnection(
            self.base_url, self.api_key_env, self.concurrency, self.timeout
        )
        family = family_of(self.tokenizer or self.model, self.family)
        mode = _checked_mode(self.mode, family)
        if find_spec("transformers") is None:
            raise MissingExtraError("transformers, which tokenises for the server,", "verifiers")
        for knob, value in (("mode", mode), ("_family", family), ("_connection", connection)):
            object.__setattr__(self, knob, value)
        object.__setattr__(self, "counts", RemoteCounts(self.block_size))
        object.__setattr__(self, "_parts", OpenedOnce(self._open))

    @property
    def info(self) -> VerifierInfo:
        """As the family says; the identity names served model, tokenizer and family."""
        family = self._family
        served = f"{self.model},{self.tokenizer or self.model},{family.name}#{family.digest}"
        identity = f"reward-server-1({served},{self.mode})"
        low, high = family.read.low, family.read.high
        return VerifierInfo(self.name, identity, family.scores, low, high, family.estimates)

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """Ask for the steps that were not scored before; equal prefixes once.

        Raises VerifierError where the tokenizer cannot be opened or does not fit the family.
        """
        parts = await self._parts.get()
        unique = {prefix.key: prefix for prefix in prefixes}
        async with asyncio.TaskGroup() as group:
            tasks = {
                key: group.create_task(_score(parts, problem, prefix))
                for key, prefix in unique.items()
            }
        return [tasks[prefix.key].result() for prefix in prefixes]

    async def aclose(self) -> None:
        """Close all connections; a later score opens again."""
        await self._parts.take()
        await self._connection.aclose()

    def _open(self) -> _Parts:
        named = self.tokenizer or self.model
        tokenizer = open_tokenizer(named)
        written = RewardFormat(self._family, tokenizer, pad_id(named, self._family))
        together = self.mode == "pooling"
        ask: Callable[[Run, Bill], Awaitable[Scores]]
        if self.mode == "labels":
            one, other = (Label(at, text_of(tokenizer, at)) for at in written.label_ids())
            ask = _LabelAsking(LabelReader(self._connection, self.model, (one, other)))
        else:
            reader = ClassReader(self._connection, self.model)
            ask = _ClassAsking(reader, self._family, together)
        return _Parts(written, RemoteScores(ask, together=together, counts=self.counts))


@dataclass(frozen=True, slots=True)
class _LabelAsking:
    """A run of one place: its sequence ends there."""

    reader: LabelReader

    async def __call__(self, run: Run, bill: Bill) -> Scores:
        return (await self.reader.read(run.token_ids, bill),)


@dataclass(frozen=True, slots=True)
class _ClassAsking:
    """A run of one place at its end, or of several together."""

    reader: ClassReader
    family: Family
    together: bool

    async def __call__(self, run: Run, bill: Bill) -> Scores:
        if self.together:
            positions = [place.token for place in run.places]
            rows = await self.reader.at(run.token_ids, positions, bill)
        else:
            rows = (await self.reader.last(run.token_ids, bill),)
        return tuple(score_at(row, self.family.read) for row in rows)


async def _score(parts: _Parts, problem: Problem, prefix: Prefix) -> StepScores | ScoreFailure:
    try:
        reading = await asyncio.to_thread(parts.written.read_prefix, prefix)
        known = await parts.scores.of(problem, reading)
    except PonderError as failure:
        return ScoreFailure(str(failure))
    scores = (None if place is None else known[place] for place in reading.places)
    return StepScores(filled(scores, START), reading.tokens)


def _checked_mode(mode: Mode | None, family: Family) -> Mode:
    """The mode that fits the family's head; raises UsageError for one that does not."""
    of_labels = family.read.head == "labels"
    if mode is None:
        return "labels" if of_labels else "classify"
    fitting = ("labels",) if of_labels else ("classify", "pooling")
    if mode not in fitting:
        raise UsageError(
            f"the family {family.name} is read by `mode` = {' or '.join(fitting)}, got {mode!r}"
        )
    return mode
