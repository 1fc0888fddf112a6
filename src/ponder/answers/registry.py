"""Answer kinds by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ponder.answers.base import AnswerKind
from ponder.answers.choice import ChoiceAnswers
from ponder.answers.exact import ExactAnswers, FunctionAnswers, ReasoningGymAnswers
from ponder.answers.math import MathAnswers
from ponder.answers.text import TextAnswers
from ponder.errors import UsageError

ANSWER_KINDS: dict[str, Callable[..., AnswerKind]] = {
    "math": MathAnswers,
    "choice": ChoiceAnswers,
    "text": TextAnswers,
    "exact": ExactAnswers,
    "reasoning-gym": ReasoningGymAnswers,
}
DEFAULT = "math"
"""Where neither the data set nor the recipe names a kind."""


def answer_kind(name: str | None, **knobs: object) -> AnswerKind:
    """The answer kind that is registered under `name`; "module:function" is a user's own.

    None is mathematics. Raises UsageError naming what is wrong.
    """
    name = DEFAULT if name is None else name
    if ":" in name:
        return FunctionAnswers(name)
    if name not in ANSWER_KINDS:
        known = ", ".join(ANSWER_KINDS)
        raise UsageError(
            f"answer kind {name!r} is unknown: choose one of {known}, or module:function"
        )
    kind = ANSWER_KINDS[name]
    allowed = inspect.signature(kind).parameters
    for knob in knobs:
        if knob not in allowed:
            choices = ", ".join(allowed) or "it has none"
            raise UsageError(f"answer kind {name!r} has no knob `{knob}`: {choices}")
    return kind(**knobs)
