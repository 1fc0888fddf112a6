"""Answer kinds by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ponder.answers.base import AnswerKind
from ponder.answers.choice import ChoiceAnswers
from ponder.answers.math import MathAnswers
from ponder.answers.text import TextAnswers
from ponder.errors import UsageError

ANSWER_KINDS: dict[str, Callable[..., AnswerKind]] = {
    "math": MathAnswers,
    "choice": ChoiceAnswers,
    "text": TextAnswers,
}


def answer_kind(name: str, **knobs: object) -> AnswerKind:
    """The answer kind that is registered under `name`; raises UsageError naming what is wrong."""
    if name not in ANSWER_KINDS:
        known = ", ".join(ANSWER_KINDS)
        raise UsageError(f"answer kind {name!r} is unknown: choose one of {known}")
    kind = ANSWER_KINDS[name]
    allowed = inspect.signature(kind).parameters
    for knob in knobs:
        if knob not in allowed:
            choices = ", ".join(allowed) or "it has none"
            raise UsageError(f"answer kind {name!r} has no knob `{knob}`: {choices}")
    return kind(**knobs)
