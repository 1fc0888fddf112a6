"""Make small language models think longer: sample, score, search, refine and vote.

    import ponder

    trace = ponder.solve("Kim buys 6 packs of 7 cards and gives 2 away. How many are left?")
    print(trace.answer, trace.spent.generated)

The parts, for more than that: `Problem`, `Session`, and the packages `engines`, `verifiers` and
`strategies`. Each name is imported when it is first used, so that the worker processes, which
import `ponder` too, start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ponder import engines, errors, strategies, verifiers
    from ponder.api import asolve, solve
    from ponder.budget import Budget
    from ponder.recipes import Recipe
    from ponder.session import Session
    from ponder.trace import Trace
    from ponder.types import Message, Prefix, Problem, Sampling, Step

__all__ = [
    "Budget",
    "Message",
    "Prefix",
    "Problem",
    "Recipe",
    "Sampling",
    "Session",
    "Step",
    "Trace",
    "asolve",
    "engines",
    "errors",
    "solve",
    "strategies",
    "verifiers",
]

_HOMES = {
    "Budget": "ponder.budget",
    "Message": "ponder.types",
    "Prefix": "ponder.types",
    "Problem": "ponder.types",
    "Recipe": "ponder.recipes",
    "Sampling": "ponder.types",
    "Session": "ponder.session",
    "Step": "ponder.types",
    "Trace": "ponder.trace",
    "asolve": "ponder.api",
    "solve": "ponder.api",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"ponder.{name}")
    raise AttributeError(f"module 'ponder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
