"""A process or outcome reward model that runs here, each distinct token computed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

from ponder.backends.checkpoint import fingerprint
from ponder.backends.model_shape import ModelShape, shape_of
from ponder.backends.prefix_tree import Outputs
from ponder.backends.tree_passes import ReadCounts
from ponder.errors import MissingExtraError, UsageError, VerifierError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.opening import OpenedOnce
from ponder.verifiers.reading import filled
from ponder.verifiers.reward_families import family_of
from ponder.verifiers.reward_family import Family, Read
from ponder.verifiers.reward_formats import Reading, RewardFormat
from ponder.verifiers.reward_opening import (
    DType,
    RewardParts,
    check_dtype,
    check_share,
    open_parts,
)
from ponder.verifiers.reward_scores import START, score_at
from ponder.verifiers.reward_sequences import Ids

Rows = dict[int, Outputs]
"""What a model computed at some tokens of a sequence, [width] each."""


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A checkpoint on this machine or of the Hugging Face hub, read as its family says.

    A step is read in the text up to it, so its score is the same whether or not steps follow. A
    step of white space alone repeats the score before it (1 at the start). The repository's own
    code is never run.
    """

    reads_question: ClassVar[bool] = True
    model: str
    """A folder, or a name on the hub."""
    family: str | Path | None = None
    """A family's name or TOML file; None: chosen by the model's name, else by its config."""
    device: str | None = None
    """As torch names it; None: the GPU if there is one."""
    dtype: DType | None = None
    """None: the checkpoint's own."""
    cache_gb: float = 4.0
    """For keys and values of the problems in flight; with less, tokens are computed again."""
    tokens_a_pass: int = 4096
    """The most tokens in one pass of the model."""
    name: str = "reward-model"
    memory_share: float | None = None
    """Of the GPU's memory that this program may take, beside an engine there; None: no bound."""
    _family: Family = field(init=False, repr=False)
    _identity: str = field(init=False, repr=False)
    _parts: OpenedOnce[RewardParts] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.cache_gb > 0:
            raise UsageError(f"`cache_gb` must be over 0, got {self.cache_gb}")
        if self.tokens_a_pass < 1:
            raise UsageError(f"`tokens_a_pass` must be at least 1, got {self.tokens_a_pass}")
        check_share(self.memory_share)
        check_dtype(self.dtype)
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtraError(f"{package}, which runs reward models,", "verifiers")
        family = family_of(self.model, self.family)
        identity = f"{fingerprint(self.model)},{family.digest},{self.dtype or 'auto'}"
        opening = OpenedOnce(lambda: open_parts(self, family))
        object.__setattr__(self, "_parts", opening)
        object.__setattr__(self, "_family", family)
        object.__setattr__(self, "_identity", f"reward-model-1({identity})")

    @classmethod
    async def open(
        cls,
        model: str,
        family: str | Path | None = None,
        device: str | None = None,
        dtype: DType | None = None,
        cache_gb: float = 4.0,
        tokens_a_pass: int = 4096,
    ) -> Self:
        """The verifier with its model loaded; raises VerifierError where that fails."""
        opened = cls(model, family, device, dtype, cache_gb, tokens_a_pass)
        await opened._parts.get()
        return opened

    @property
    def info(self) -> VerifierInfo:
        """As the family says; the identity names weights, family and precision."""
        family = self._family
        low, high = family.read.low, family.read.high
        return VerifierInfo(self.name, self._identity, family.scores, low, high, family.estimates)

    @property
    def shape(self) -> ModelShape:
        """Of the model, as far as its files are here and say."""
        return shape_of(self.model)

    @property
    def counts(self) -> ReadCounts:
        """What the model has computed since it was loaded."""
        parts = self._parts.opened
        return ReadCounts() if parts is None else parts.reader.counts

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """One score a step, or one a solution; equal prefixes are read once.

        Raises VerifierError where the model cannot be opened, or fails on a pass.
        """
        if not prefixes:
            return []
        parts = await self._parts.get()
        unique = {prefix.key: prefix for prefix in prefixes}
        readings = await asyncio.to_thread(_written, parts.written, unique)
        good = [reading for reading in readings.values() if isinstance(reading, Reading)]
        asked = [one for reading in good for one in _asked(reading)]
        rows = iter(await parts.reader.reduced(problem, asked))
        scores = {
            key: _scores(reading, rows, self._family.read)
            if isinstance(reading, Reading)
            else reading
            for key, reading in readings.items()
        }
        return [scores[prefix.key] for prefix in prefixes]

    async def aclose(self) -> None:
        """Free the model; a later score loads it again."""
        parts = await self._parts.take()
        if parts is not None:
            await parts.reader.aclose()


def _written(
    written: RewardFormat, prefixes: Mapping[bytes, Prefix]
) -> dict[bytes, Reading | ScoreFailure]:
    """What to read for each prefix, or why it cannot be written."""
    readings: dict[bytes, Reading | ScoreFailure] = {}
    for key, prefix in prefixes.items():
        try:
            readings[key] = written.read_prefix(prefix)
        except VerifierError as error:
            readings[key] = ScoreFailure(str(error))
    return readings


def _asked(reading: Reading) -> Iterator[tuple[Ids, Callable[[Outputs], Rows]]]:
    """Each sequence, and what takes the rows of its places alone."""
    for number, ids in enumerate(reading.sequences):
        places = [place for place in reading.places if place is not None]
        yield ids, partial(_rows, [place.token for place in places if place.sequence == number])


def _rows(tokens: list[int], outputs: Outputs) -> Rows:
    return dict(zip(tokens, outputs[tokens], strict=True))


def _scores(
    reading: Reading, rows: Iterator[Rows | ScoreFailure], read: Read
) -> StepScores | ScoreFailure:
    """The reading's scores; takes the rows of its sequences."""
    taken = [next(rows) for _ in reading.sequences]
    mine: list[Rows] = []
    for one in taken:
        if isinstance(one, ScoreFailure):
            return one
        mine.append(one)
    try:
        scores = [
            None if place is None else score_at(mine[place.sequence][place.token], read)
            for place in reading.places
        ]
    except VerifierError as error:
        return ScoreFailure(str(error))
    return StepScores(filled(scores, START), reading.tokens)
