"""Scores by a callable of the user's, however it is written."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Literal, cast, get_args

from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.reading import step_texts

ScoresWhat = Literal["steps", "solution"]
Estimates = Literal["correctness", "value"]
Scores = Iterable[float] | float
Scorer = Callable[[Problem, tuple[str, ...]], Scores | Awaitable[Scores]]
"""Called with the problem and the step texts; returns one score a step, or one for a solution."""


@dataclass(frozen=True, slots=True)
class FunctionVerifier:
    """A plain or async function as a verifier.

    A plain one runs in a thread of its own, one call at a time, so it need not be thread-safe; an
    async one runs for all prefixes at once. What it raises, a score outside of the range, not a
    number or too many of them make that prefix a `ScoreFailure`.
    """

    function: Scorer | str
    """The callable, or where it is: "module:name"."""
    scores: ScoresWhat = "steps"
    """`solution`: the function returns one number for the whole."""
    low: float = 0.0
    high: float = 1.0
    estimates: Estimates = "correctness"
    name: str = "function"
    _scorer: Scorer = field(init=False, repr=False)
    _identity: str = field(init=False, repr=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "function-verifier"), init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UsageError(f"`low` must be below `high`, got {self.low} and {self.high}")
        for knob, words in (("scores", get_args(ScoresWhat)), ("estimates", get_args(Estimates))):
            if getattr(self, knob) not in words:
                told = f"must be one of {', '.join(words)}, got {getattr(self, knob)!r}"
                raise UsageError(f"`{knob}` {told}")
        found = load_function(self.function) if isinstance(self.function, str) else self.function
        if not callable(found):
            raise UsageError(f"`function` must be callable, got {found!r}")
        object.__setattr__(self, "_scorer", found)
        object.__setattr__(self, "_identity", f"function:{_source_name(found)}")

    @property
    def info(self) -> VerifierInfo:
        """As the fields say; the identity changes with the function's source."""
        return VerifierInfo(
            self.name, self._identity, self.scores, self.low, self.high, self.estimates
        )

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        """What the function says of each prefix; equal prefixes are asked about once."""
        unique = {prefix.key: prefix for prefix in prefixes}
        async with asyncio.TaskGroup() as group:
            tasks = {
                key: group.create_task(self._score(problem, step_texts(prefix)))
                for key, prefix in unique.items()
            }
        return [tasks[prefix.key].result() for prefix in prefixes]

    async def aclose(self) -> None:
        """End the thread once the call that it runs has returned."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _score(self, problem: Problem, texts: tuple[str, ...]) -> StepScores | ScoreFailure:
        try:
            answer = await self._call(problem, texts)
            return self._checked(answer, len(texts))
        except Exception as error:  # noqa: BLE001  (whatever the user's function raises)
            line = " ".join(str(error).split())
            return ScoreFailure(f"{self.name}: {type(error).__name__}: {line}"[:200])

    async def _call(self, problem: Problem, texts: tuple[str, ...]) -> Scores:
        answer: Scores | Awaitable[Scores]
        if inspect.iscoroutinefunction(self._scorer):
            answer = self._scorer(problem, texts)
        else:
            call: Callable[[], Scores | Awaitable[Scores]]
            call = partial(self._scorer, problem, texts)
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        return cast(Scores, await answer) if inspect.isawaitable(answer) else answer

    def _checked(self, answer: Scores, steps: int) -> StepScores | ScoreFailure:
        """The answer as scores of the promised number and range."""
        single = isinstance(answer, Real)
        if single != (self.scores == "solution"):
            wanted = "one number" if self.scores == "solution" else "a list of numbers"
            return ScoreFailure(f"{self.name} must return {wanted}, got {type(answer).__name__}")
        scores = tuple(map(float, cast(Iterable[float], [answer] if single else answer)))
        if not single and len(scores) != steps:
            return ScoreFailure(f"{self.name} returned {len(scores)} scores for {steps} steps")
        for score in scores:
            if not self.low <= score <= self.high:
                return ScoreFailure(
                    f"{self.name} returned {score}, not in {self.low} to {self.high}"
                )
        return StepScores(scores)


def load_function(spec: str) -> Scorer:
    """The callable that "module:name" names; the current folder is searched first."""
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"a function is named as module:name, got {spec!r}")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if module_name.startswith("."):
        raise UsageError(f"a function is named by its module, as score:judge, got {spec!r}")
    try:
        found: object = import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"cannot load the function {spec!r}: {error}") from error
    except Exception as error:  # whatever the user's module raises as it is read
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"cannot load the function {spec!r}: {line}") from error
    return cast(Scorer, found)


def _source_name(function: Scorer) -> str:
    """Where the function is from, and a hash of its source where Python can read it."""
    place = getattr(function, "__qualname__", type(function).__qualname__)
    named = f"{function.__module__}:{place}"
    try:
        source = inspect.getsource(function if inspect.isroutine(function) else type(function))
    except (OSError, TypeError):
        return named
    return f"{named}@{hashlib.sha256(source.encode()).hexdigest()[:12]}"
