"""Make small language models think longer: sample, score, search, refine and vote.

    import ponder

    trace = ponder.solve("Kim buys 6 packs of 7 cards and gives 2 away. How many are left?")
    print(trace.answer, trace.spent.generated)

The parts, for more than that: `Problem`, `Session`, and the packages `engines`, `verifiers` and
`strategies`.
"""

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
