"""How often the process looks for objects that only hold each other."""

from __future__ import annotations

import gc

_NEW = 50_000
"""Objects made since the last look, before the next; Python's own default is 700."""


def collect_seldom() -> None:
    """Let the garbage collector look less often, in a process that is ponder's own.

    A search makes many small objects and no cycles of them, so that all are freed as its problem
    ends and looking through them finds nothing; a sixth of a node's time went there.
    """
    gc.set_threshold(_NEW, *gc.get_threshold()[1:])
