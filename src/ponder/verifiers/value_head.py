"""Scores each step by a trained head on a model's hidden states: how likely it is to end right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from ponder.backends.model_shape import ModelShape, shape_of
from ponder.backends.models import SMOLLM2
from ponder.backends.tree_passes import ReadCounts
from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.head_base import HeadBase, find_base, is_checkpoint, is_missing
from ponder.verifiers.head_config import HeadConfig
from ponder.verifiers.head_file import ValueHead, read_config, step_features
from ponder.verifiers.opening import OpenedOnce
from ponder.verifiers.reward_opening import DType, check_dtype, check_share
from ponder.verifiers.state_reader import SolutionStates, StateReader

SHIPPED = {"smollm2": "smollm2-135m"}
"""Heads that come with the package, by name: folders of `ponder/data/heads`."""


@dataclass(frozen=True, slots=True)
class ValueHeadVerifier:
    """A head of `ponder train-verifier`, read by a second copy of the model that it was trained on.

    The model is loaded when the first prefix is scored; what it is decides whether OpenVINO or
    transformers runs it. One that is not quite what the head was trained on warns, and so does a
    head that was no better than chance; a model with other states cannot be read. An empty step
    repeats the score before it.
    """

    reads_question: ClassVar[bool] = True
    head: str | Path | None = None
    """The head's folder, or the name of one that comes with the package; None is "smollm2"."""
    model: str | Path | None = None
    """The base model's file or folder, or its name on the hub; None is what the head names."""
    cache_gb: float = 1.0
    """Of memory for the keys, values and states of problems in flight."""
    threads: int | None = None
    """Of OpenVINO; None: as many as the machine has cores."""
    device: str | None = None
    """Of transformers, as torch names it; None: the GPU if there is one."""
    memory_share: float | None = None
    """Of transformers: what this program may take of the GPU's memory; None: no bound."""
    dtype: DType | None = None
    """What states are computed in; None: what the head was trained in."""
    name: str = "value-head"
    _head: ValueHead = field(init=False, repr=False)
    _base: _Base = field(init=False, repr=False)
    _reader: OpenedOnce[StateReader] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.cache_gb > 0:
            raise UsageError(f"`cache_gb` must be over 0, got {self.cache_gb}")
        check_share(self.memory_share)
        check_dtype(self.dtype)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"`threads` must be at least 1, got {self.threads}")
        head = ValueHead.load(_head_folder(self.head))
        object.__setattr__(self, "_head", head)
        object.__setattr__(self, "_base", _Base(self.model or head.config.base.path, self._find))
        object.__setattr__(self, "_reader", OpenedOnce(self._open))

    @property
    def info(self) -> VerifierInfo:
        """A value in [0, 1] for each step; the identity names the head and the base model."""
        told = [self._head.identity, self._base.sha256[:16], *([self.dtype] if self.dtype else [])]
        identity = f"value-head-1({','.join(told)})"
        return VerifierInfo(self.name, identity, "steps", 0.0, 1.0, "value")

    @property
    def shape(self) -> ModelShape:
        """Of the whole base model: layers above the head's own are not computed, but counted."""
        return shape_of(self._base.named)

    @property
    def counts(self) -> ReadCounts:
        """What the model has computed since it was loaded."""
        reader = self._reader.opened
        return ReadCounts() if reader is None else reader.counts

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """One value a step; a prefix that is too long for the model fails.

        Raises EngineError or VerifierError where the model cannot be loaded or fails.
        """
        if not prefixes:
            return []
        unique = {prefix.key: prefix for prefix in prefixes}
        reader = await self._reader.get()
        scores = await reader.reduced(problem, list(unique.values()), self._score)
        answers = dict(zip(unique, scores, strict=True))
        return [answers[prefix.key] for prefix in prefixes]

    async def aclose(self) -> None:
        """Free the model; a later score loads it again."""
        reader = await self._reader.take()
        if reader is not None:
            await reader.aclose()

    def _score(self, states: SolutionStates) -> StepScores:
        kind = self._head.config.features
        features = step_features(states.outputs, states.start, states.ends, kind)
        return StepScores(tuple(self._head.predict(features).tolist()), states.tokens)

    def _find(self, named: str | Path | None) -> HeadBase:
        if self.model is None and named is not None and is_missing(named):
            raise UsageError(
                f"the head's base model is no longer at {named}: name where it is by `model`"
            )
        return find_base(
            named,
            device=self.device,
            dtype=self.dtype,
            threads=self.threads,
            memory_share=self.memory_share,
            trained=self._head.config.computed,
        )

    def _open(self) -> StateReader:
        """Load the model; takes seconds and blocks."""
        config, base = self._head.config, self._base.found
        _warn_of_chance(config)
        _warn_of_differences(config, base)
        reader = base.open(config.layers, prompt=config.prompt, cache_gb=self.cache_gb)
        if reader.width != self._head.states_width:
            raise UsageError(
                f"the head reads states of {self._head.states_width} numbers, {base.of.name} has "
                f"{reader.width}: name {config.base.name} as `model`"
            )
        return reader


def runs_on_transformers(head: str | Path | None, model: str | Path | None) -> bool:
    """Whether a head's base model does, by what is named; nothing is loaded.

    Raises UsageError for a head that is not there, VerifierError for one that cannot be read.
    """
    named = model or read_config(_head_folder(head)).base.path
    return named is not None and is_checkpoint(named)


class _Base:
    """The base model that was named; None is the default one."""

    def __init__(
        self, named: str | Path | None, find: Callable[[str | Path | None], HeadBase]
    ) -> None:
        self.named, self._find = named, find

    @cached_property
    def found(self) -> HeadBase:
        """The model on this machine, fetched or exported first if need be."""
        return self._find(self.named)

    @property
    def sha256(self) -> str:
        """Known for the default model before it is there."""
        return SMOLLM2.sha256 if self.named is None else self.found.of.sha256


def _head_folder(named: str | Path | None) -> Path:
    known = SHIPPED.get(str(named or "smollm2"))
    if known is not None:
        return Path(str(files("ponder.data") / "heads" / known))
    folder = Path(str(named)).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder: `head` names one, or {', '.join(SHIPPED)} of the package"
        )
    return folder


def _warn_of_chance(config: HeadConfig) -> None:
    if config.training.better_than_chance is False:
        where = "on its held-out problems"
    elif config.training.better_within_problems is False:
        where = "among the samples of a held-out problem"
    else:
        return
    warnings.warn(
        f"the head of {config.base.name} was no better than chance {where}: train it on more "
        "problems, or choose by majority",
        stacklevel=2,
    )


def _warn_of_differences(config: HeadConfig, base: HeadBase) -> None:
    """One warning that names all that is not as it was when the head was trained."""
    pairs = {
        "model": (config.base.sha256[:16], base.of.sha256[:16]),
        "weights": (config.base.weights, base.of.weights),
        "engine": (config.engine, base.engine),
        "precision": (config.computed, base.computed),
    }
    changed = [
        f"{what} {now} (trained on {before})"
        for what, (before, now) in pairs.items()
        if before != now
    ]
    if changed:
        warnings.warn(
            f"the head of {config.base.name} meets {', '.join(changed)}: scores may be off",
            stacklevel=2,
        )
