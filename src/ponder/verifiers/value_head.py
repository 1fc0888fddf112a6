"""Scores each step by a trained head on a model's hidden states: how likely it is to end right."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from ponder.backends.local_model import LocalModel, find_model
from ponder.backends.models import SMOLLM2, silent
from ponder.backends.openvino_trees import engine_version
from ponder.backends.tree_passes import ReadCounts
from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.head_config import HeadConfig
from ponder.verifiers.head_file import ValueHead, step_features
from ponder.verifiers.opening import OpenedOnce
from ponder.verifiers.state_reader import SolutionStates, StateReader

SHIPPED = {"smollm2": "smollm2-135m"}
"""Heads that come with the package, by name: folders of `ponder/data/heads`."""


@dataclass(frozen=True, slots=True)
class ValueHeadVerifier:
    """A head of `ponder train-verifier`, read by a second copy of the model that it was trained on.

    The model is loaded when the first prefix is scored. One that is not quite what the head was
    trained on warns; one with other states cannot be read. An empty step repeats the score before
    it.
    """

    head: str | Path | None = None
    """The head's folder, or the name of one that comes with the package; None is "smollm2"."""
    model: str | Path | None = None
    """The base model's file or folder; None is what the head names."""
    cache_gb: float = 1.0
    """Of memory for the keys and values of problems in flight."""
    threads: int | None = None
    """None: as many as the machine has cores."""
    name: str = "value-head"
    _head: ValueHead = field(init=False, repr=False)
    _base: _Base = field(init=False, repr=False)
    _reader: OpenedOnce[StateReader] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.cache_gb > 0:
            raise UsageError(f"`cache_gb` must be over 0, got {self.cache_gb}")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"`threads` must be at least 1, got {self.threads}")
        head = ValueHead.load(_head_folder(self.head))
        object.__setattr__(self, "_head", head)
        object.__setattr__(self, "_base", _Base(self.model or head.config.base.path))
        object.__setattr__(self, "_reader", OpenedOnce(self._open))

    @property
    def info(self) -> VerifierInfo:
        """A value in [0, 1] for each step; the identity names the head and the base model."""
        identity = f"value-head-1({self._head.identity},{self._base.sha256[:16]})"
        return VerifierInfo(self.name, identity, "steps", 0.0, 1.0, "value")

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
        states = await reader.states(problem, list(unique.values()))
        answers = dict(zip(unique, map(self._score, states), strict=True))
        return [answers[prefix.key] for prefix in prefixes]

    async def aclose(self) -> None:
        """Free the model; a later score loads it again."""
        reader = await self._reader.take()
        if reader is not None:
            await reader.aclose()

    def _score(self, states: SolutionStates | ScoreFailure) -> StepScores | ScoreFailure:
        if isinstance(states, ScoreFailure):
            return states
        kind = self._head.config.features
        features = step_features(states.outputs, states.start, states.ends, kind)
        return StepScores(tuple(self._head.predict(features).tolist()), states.tokens)

    def _open(self) -> StateReader:
        """Load the model; takes seconds and blocks."""
        config, model = self._head.config, self._base.found
        _warn_of_differences(config, model)
        reader = StateReader.open(
            model,
            layers=config.layers,
            prompt=config.prompt,
            computed=config.computed,
            cache_gb=self.cache_gb,
            threads=self.threads,
        )
        if reader.width != self._head.states_width:
            raise UsageError(
                f"the head reads states of {self._head.states_width} numbers, {model.name} has "
                f"{reader.width}: name {config.base.name} as `model`"
            )
        return reader


class _Base:
    """The base model that was named; None is the default one."""

    def __init__(self, named: str | Path | None) -> None:
        self._named = named

    @cached_property
    def found(self) -> LocalModel:
        """The model on this machine, fetched or exported first if need be."""
        return find_model(self._named, silent)

    @property
    def sha256(self) -> str:
        """Known for the default model before it is there."""
        return SMOLLM2.sha256 if self._named is None else self.found.sha256


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


def _warn_of_differences(config: HeadConfig, model: LocalModel) -> None:
    """One warning that names all that is not as it was when the head was trained."""
    pairs = {
        "model": (config.base.sha256[:16], model.sha256[:16]),
        "weights": (config.base.weights, model.precision),
        "engine": (config.engine, engine_version()),
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
