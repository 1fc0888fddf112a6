"""What a verifier tells of its own work: tokens that it computed, critiques that it could read."""

from __future__ import annotations

from typing import NamedTuple

from ponder.verifiers.base import Verifier


class Counted(NamedTuple):
    """Tokens of a verifier's inputs, and a judge's critiques; None is not told."""

    computed: int | None = None
    """Positions that passed through the model, pads and repeats included."""
    distinct: int | None = None
    """Nodes of the prefix trees of the inputs, summed over problems."""
    floor: int | None = None
    """The least that a server's cache allows to compute."""
    critiques: int | None = None
    """A judge's."""
    unparsable: int | None = None
    """Critiques without a verdict: they were left out."""

    def since(self, before: Counted) -> Counted:
        """What came after `before`."""
        return Counted(*(_minus(now, then) for now, then in zip(self, before, strict=True)))

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(*(_plus(one, two) for one, two in zip(self, other, strict=True)))


NOTHING = Counted(0, 0, 0, 0, 0)


def counted(verifier: Verifier) -> Counted:
    """What the verifier has counted up to now, as far as it counts: by an attribute `counts`."""
    told: object = getattr(verifier, "counts", None)
    return Counted(*(getattr(told, name, None) for name in Counted._fields))


def _minus(now: int | None, then: int | None) -> int | None:
    return None if now is None or then is None else now - then


def _plus(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two
