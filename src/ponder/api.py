"""Solving one problem from Python: `solve`, and `asolve` inside an event loop."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Final, cast

from ponder.answers.registry import answer_kind
from ponder.engines.base import Engine
from ponder.errors import UsageError
from ponder.prompts import load_prompt
from ponder.recipes import Recipe, Study
from ponder.recipes.registry import check_scored, strategy_of, verifier_of
from ponder.runner import Method, opened, unscored, why_unscored
from ponder.runner import solve as solve_one
from ponder.session import Observer, SessionOptions, Slots
from ponder.store.log import MemoryCallLog
from ponder.strategies.base import Strategy
from ponder.trace import Trace
from ponder.types import Problem
from ponder.verifiers.base import Verifier
from ponder.verifiers.function import FunctionVerifier

TUNED = "grade-school"
"""The recipe that is tuned for the default model."""

FROM_RECIPE = "recipe"
"""The verifier that the recipe names."""


async def asolve(
    question: str | Problem,
    *,
    model: str | Path | Engine | None = None,
    strategy: str | Strategy | None = None,
    verifier: str | Verifier | Callable[..., Any] | None = FROM_RECIPE,
    recipe: Recipe | None = None,
    observer: Observer | None = None,
    announce: Callable[[str], None] = lambda _line: None,
    **study: object,
) -> Trace:
    """Spend compute on one question: `trace.answer` is the answer, `trace.spent` the bill.

    `model` is a GGUF file, an OpenVINO folder, or an engine that is open and stays open; None is
    the default model. `strategy` and `verifier` are names or objects; a function from the problem
    and its step texts to their scores is a verifier too, and None is no verifier. Whatever else a
    recipe's `[study]` has may be given by its name: `n=8`, `prompt="plain"`,
    `budget={"generated_tokens": 400}`. A strategy object has its own `n`, knobs, sampling, selector
    and aggregation, and they cannot be given beside it. What is not given comes from `recipe`: by
    default the tuned recipe of the default model, and plain defaults for another one.

    A `Problem` keeps its own messages; a question gets the prompt around it. Raises UsageError for
    what cannot be used and EngineError when the model cannot be opened. Warns, with the first
    reason, where a verifier could score nothing: the answer is then chosen without its scores.
    """
    _check_kinds(question, model, strategy, verifier, recipe)
    given = {key: value for key, value in study.items() if value is not None}
    if isinstance(model, str | Path):
        given["model"] = str(model)
    if isinstance(strategy, str):
        given["strategy"] = strategy
    elif strategy is not None:
        _check_own(strategy, given)
    if isinstance(verifier, str) and verifier != FROM_RECIPE:
        given["verifier"] = verifier
    if recipe is None:
        recipe = Recipe.shipped(TUNED) if model is None else Recipe()
    recipe = recipe.changed(given, {}, "ponder.solve")
    verifiers = _verifiers(verifier, recipe.study)
    chosen = (
        strategy_of(recipe.study) if strategy is None or isinstance(strategy, str) else strategy
    )
    check_scored(chosen, verifiers)
    problem = _problem(question, recipe.study)
    answers = answer_kind(recipe.study.answer)
    log = MemoryCallLog()
    async with _engine(model, recipe, announce) as (engine, slots):
        method = Method(chosen, engine, verifiers, answers, _options(recipe))
        try:
            trace = await solve_one(problem, method, log, slots, observer=observer)
        finally:
            await asyncio.to_thread(answers.close)
            if not hasattr(verifier, "info"):  # made here
                for made in verifiers:
                    await made.aclose()
    if unscored(trace):
        reason = why_unscored(log.load(trace.problem_id))
        warnings.warn(f"nothing could be scored: {reason}", stacklevel=1)
    return trace


def solve(question: str | Problem, **options: Any) -> Trace:
    """The same for code without an event loop, and for notebooks, whose loop goes on running.

    Takes what `asolve` takes, except an engine that is open in another event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asolve(question, **options))
    outcome: list[Trace | BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(asolve(question, **options)))
        except BaseException as error:  # noqa: BLE001  handed on to the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=work, name="ponder.solve")
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _check_kinds(
    question: object, model: object, strategy: object, verifier: object, recipe: object
) -> None:
    """Raise UsageError for a value of a kind that `asolve` does not take."""
    judges = _is(verifier, str, "info") or callable(verifier)
    taken = (
        ("question", question, isinstance(question, str | Problem), "text or a Problem"),
        ("model", model, _is(model, str | Path, "capabilities"), "a path or an open engine"),
        ("strategy", strategy, _is(strategy, str, "solve"), "a name or a strategy"),
        ("verifier", verifier, judges, "a name, a verifier or a function"),
        ("recipe", recipe, recipe is None or isinstance(recipe, Recipe), "a Recipe"),
    )
    for name, value, fits, wanted in taken:
        if not fits:
            raise UsageError(f"ponder.solve: `{name}` must be {wanted}, got {value!r}")


def _is(value: object, names: type | UnionType, attribute: str) -> bool:
    """Not given, a name, or an object that has this attribute."""
    return value is None or isinstance(value, names) or hasattr(value, attribute)


_OWN: Final = ("n", "knobs", "sampling", "selector", "aggregation")
"""Keys of a study that a strategy made by the caller has itself."""


def _check_own(strategy: Strategy, given: Mapping[str, object]) -> None:
    if theirs := [key for key in _OWN if key in given]:
        kind = type(strategy).__name__
        raise UsageError(
            f"`{theirs[0]}` is the strategy's own: give it to {kind}(...), or name the strategy"
        )


def _options(recipe: Recipe) -> SessionOptions:
    study = recipe.study
    return SessionOptions(
        seed=study.seed,
        budget=study.budgets(),
        separator=study.sampling.separator,
        share=recipe.host.share,
    )


def _problem(question: str | Problem, study: Study) -> Problem:
    if isinstance(question, Problem):
        return question
    asked = Problem.ask(question)
    return replace(asked, messages=load_prompt(study.prompt).render(question))


def _verifiers(
    given: str | Verifier | Callable[..., Any] | None, study: Study
) -> Sequence[Verifier]:
    """The verifier given, or the study's for a name."""
    if isinstance(given, str):
        name = study.verifier
        return [] if name is None else [verifier_of(name, study.verifier_knobs)]
    if given is None:
        return []
    if hasattr(given, "info"):
        return [cast("Verifier", given)]
    return [FunctionVerifier(given)]


@asynccontextmanager
async def _engine(
    model: str | Path | Engine | None, recipe: Recipe, announce: Callable[[str], None]
) -> AsyncIterator[tuple[Engine, Slots]]:
    if model is None or isinstance(model, str | Path):
        async with opened(recipe, announce) as found:
            yield found
    else:
        yield model, Slots(model.capabilities.slots)
