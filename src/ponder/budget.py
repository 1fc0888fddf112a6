"""What a problem may spend, and the ledger that grants it in one total order.

Samples are ordered by (depth, path). A sample's grant depends on what the samples before it in that
order used, never on which ended first, so a budget gives the same search at any speed. A sample
starts as soon as its grant is certain: at once while the budget covers the worst case of all before
it, else when enough of them have ended.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, NamedTuple

from ponder.errors import UsageError
from ponder.types import NodePath

MINIMUM_GRANT: Final = 16
"""Tokens. A sample that would get fewer (and wants more) is refused instead."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one problem; None is no limit. Any of them ends the search."""

    generations: int | None = None
    """Samples."""
    generated_tokens: int | None = None
    """Tokens drawn."""
    total_tokens: int | None = None
    """Tokens of the problem's prefix tree, each node once, plus what verifiers computed, which may
    overrun by the scoring of what was asked for together. Until a first sample has told its
    prompt's tokens, one a byte is set aside for them."""
    seconds: float | None = None
    """Wall-clock; may overrun by one step."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not value > 0:
                raise UsageError(f"budget `{limit.name}` must be over 0, got {value}")

    @classmethod
    def parse(cls, limits: Iterable[str]) -> Budget:
        """A budget from words like "generated_tokens=400"."""
        kinds = [limit.name for limit in fields(cls)]
        values: dict[str, float] = {}
        for text in limits:
            kind, _, number = text.partition("=")
            if kind not in kinds:
                raise UsageError(f"unknown budget {kind!r}: use one of {', '.join(kinds)}")
            values[kind] = _number(kind, number)
        return cls(**values)  # type: ignore[arg-type]

    @property
    def counts(self) -> bool:
        """Limits something besides the clock."""
        return any((self.generations, self.generated_tokens, self.total_tokens))


def _number(kind: str, text: str) -> float:
    try:
        return float(text) if kind == "seconds" else int(text)
    except ValueError:
        whole = "a number" if kind == "seconds" else "a whole number"
        raise UsageError(f"budget `{kind}` must be {whole}, got {text!r}") from None


@dataclass(slots=True)
class Lane:
    """A part of the search that asks for samples in (depth, path) order, waiting for no other."""

    index: int
    """Order among lanes; the paths of a lower lane come first at each depth."""
    width: int
    """The most samples that it asks for at one depth."""
    limit: int
    """The most tokens that one of its samples may want."""
    depth: int = 1
    """Where it is: it asks for nothing above this any more."""
    asked: int = 0
    """Samples it has asked for at `depth`."""
    last: NodePath = ()
    """The last path that it asked for."""
    scored: Mapping[int, int] = field(default_factory=dict)
    """By depth, tokens that verifiers computed before the lane began; of the search's own lane,
    those until now."""
    open: bool = True


class Prompt(NamedTuple):
    """A conversation that samples start from: its tokens count once, with the first of them."""

    key: object
    bound: int
    """The most tokens that it can have."""


@dataclass(slots=True, order=True)
class Entry:
    """One sample's place in the order, its grant, and what it used."""

    depth: int
    path: NodePath
    lane: Lane = field(compare=False)
    wants: int = field(compare=False)
    """Tokens."""
    prompt: Prompt | None = field(compare=False)
    """The prompt that it starts from; None: prompts do not count."""
    scored: int = field(compare=False)
    """Tokens that verifiers computed on samples of its own depth before it was asked for; in a
    forked lane, before that began."""
    decided: Callable[[int], None] | None = field(compare=False)
    """Called once with the grant in tokens, 0 for a refusal, and then let go."""
    granted: int | None = field(default=None, compare=False)
    generated: int | None = field(default=None, compare=False)
    """What it drew, once it has ended."""
    prompt_tokens: int | None = field(default=None, compare=False)
    """What its prompt has, once it has ended; None: not told."""

    @property
    def settled(self) -> bool:
        """Its use is known for good."""
        return self.generated is not None


@dataclass(slots=True)
class _Sum:
    """Use of the entries before a place: exact so far, and at worst."""

    generations: int = 0
    generated: int = 0
    total: int = 0
    worst_generations: int = 0
    worst_generated: int = 0
    worst_total: int = 0
    exact: bool = True
    prompts: dict[object, int] = field(default_factory=dict)
    """The prompts counted so far, with what is set aside at worst until their tokens are told."""

    def copy(self) -> _Sum:
        return replace(self, prompts=dict(self.prompts))

    def add(self, entry: Entry) -> None:
        if entry.granted == 0:
            return
        self.generations += 1
        self.worst_generations += 1
        if entry.generated is None:
            worst = entry.wants if entry.granted is None else entry.granted
            self.worst_generated += worst
            self.worst_total += worst + self.prompt_bound(entry)
            self.exact = False
            if entry.prompt is not None:
                self.prompts.setdefault(entry.prompt.key, entry.prompt.bound)
        else:
            self._use(entry.generated, entry.generated)
            self._count_prompt(entry)

    def prompt_bound(self, entry: Entry) -> int:
        """The most that the entry's prompt can add to what is counted."""
        if entry.prompt is None or entry.prompt.key in self.prompts:
            return 0
        return entry.prompt.bound

    def _count_prompt(self, entry: Entry) -> None:
        """The first one that tells how many tokens its prompt has, counts for all."""
        if entry.prompt is None or entry.prompt_tokens is None:
            return
        aside = self.prompts.get(entry.prompt.key)
        if aside != 0:
            self.prompts[entry.prompt.key] = 0
            self._use(0, entry.prompt_tokens)
            self.worst_total -= aside or 0

    def _use(self, generated: int, total: int) -> None:
        self.generated += generated
        self.worst_generated += generated
        self.total += total
        self.worst_total += total


class Ledger:
    """Grants the budget of one problem."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._counts = budget.counts
        self.refused = False
        """Some sample was refused."""
        self._entries: list[Entry] = []
        self._folded = _Sum()
        self._lanes: list[Lane] = []
        self._verifier: dict[int, int] = {}
        self._main = Lane(0, 0, 0, scored=self._verifier)

    def fork(self, count: int, width: int, limit: int) -> list[Lane]:
        """Lanes that run side by side, each asking for at most `width` samples a depth."""
        scored = dict(self._verifier)
        self._lanes = [Lane(index, width, limit, scored=scored) for index in range(count)]
        return list(self._lanes)

    def close(self, lane: Lane) -> None:
        """The lane asks for nothing more."""
        lane.open = False
        self._decide()

    def request(
        self,
        path: NodePath,
        wants: int,
        decided: Callable[[int], None],
        *,
        lane: Lane | None = None,
        prompt: Prompt | None = None,
    ) -> Entry:
        """Ask for `wants` tokens for the sample at `path`; `decided` is called with the grant.

        Raises ValueError for a lane that goes back in the order or asks for more than its width.
        """
        lane = self._main if lane is None else lane
        _advance(lane, path, forked=lane is not self._main)
        scored = lane.scored.get(len(path), 0)
        entry = Entry(len(path), path, lane, wants, prompt, scored, decided)
        if self._counts:
            insort(self._entries, entry)
            self._decide()
        else:
            self._settle_grant(entry, wants)
        return entry

    def settle(self, entry: Entry, generated: int, prompt_tokens: int | None = None) -> None:
        """The sample has ended, with what it drew and, where told, the tokens of its prompt."""
        entry.generated, entry.prompt_tokens = generated, prompt_tokens
        self._decide()

    def charge(self, depth: int, tokens: int) -> None:
        """A verifier computed `tokens` on samples at `depth`.

        They count before all deeper samples, and before those of the same depth that are asked for
        afterwards, in the search's own lane or in one that begins afterwards.
        """
        self._verifier[depth] = self._verifier.get(depth, 0) + tokens

    def _decide(self) -> None:
        """Decide, in order, every waiting entry whose grant is certain."""
        if not self._entries:
            return
        self._fold()
        so_far = self._folded.copy()
        for entry in self._entries:
            if entry.granted is None:
                grant = self._grant(entry, so_far)
                if grant is None:
                    return  # no later one is certain either: it would need this one's share too
                self._settle_grant(entry, grant)
            so_far.add(entry)

    def _fold(self) -> None:
        """Sum up the leading entries that are settled and that nothing can come before."""
        floor = min((lane.depth for lane in self._lanes if lane.open), default=sys.maxsize)
        count = 0
        for entry in self._entries:
            if not entry.settled or entry.depth >= floor:
                break
            self._folded.add(entry)
            count += 1
        del self._entries[:count]

    def _settle_grant(self, entry: Entry, grant: int) -> None:
        entry.granted = grant
        decided, entry.decided = entry.decided, None
        assert decided is not None
        if grant == 0:
            entry.generated = 0
            self.refused = True
        decided(grant)

    def _grant(self, entry: Entry, before: _Sum) -> int | None:
        """The entry's grant in tokens, 0 to refuse it, or None while it is uncertain."""
        unasked = self._unasked(entry)
        least = min(entry.wants, MINIMUM_GRANT)
        worst = self._left(entry, before, unasked)
        if worst is not None and worst >= entry.wants:
            return entry.wants
        best = self._left(entry, before, None)
        assert best is not None
        if best < least:
            return 0
        if before.exact and not unasked:
            return min(entry.wants, best)
        return None

    def _unasked(self, entry: Entry) -> list[tuple[Lane, int]]:
        """Other lanes that may still ask for samples before `entry`, with the most of them.

        Where a verifier's tokens count, those too that have asked for all of them and have not gone
        on: what the last of these cost to score is not told yet.
        """
        scored = self.budget.total_tokens is not None
        ahead = []
        for lane in self._lanes:
            if lane is entry.lane or not lane.open or lane.depth > entry.depth:
                continue
            depths = entry.depth - lane.depth + (lane.index < entry.lane.index)
            most = lane.width * depths - (lane.asked if depths else 0)
            if most > 0 or (scored and lane.depth < entry.depth):
                ahead.append((lane, most))
        return ahead

    def _left(
        self, entry: Entry, before: _Sum, unasked: list[tuple[Lane, int]] | None
    ) -> int | None:
        """Tokens left for `entry`: at worst, or at best if `unasked` is None; None: unknown."""
        at_best = unasked is None
        more = sum(most for _, most in unasked or ())
        tokens = sum(most * lane.limit for lane, most in unasked or ())
        left = entry.wants
        if self.budget.generations is not None:
            used = before.generations if at_best else before.worst_generations + more
            left = left if used < self.budget.generations else 0
        if self.budget.generated_tokens is not None:
            used = before.generated if at_best else before.worst_generated + tokens
            left = min(left, self.budget.generated_tokens - used)
        if self.budget.total_tokens is not None:
            if unasked:  # the verifier's use above this depth is known when the others are past it
                return None
            used = before.total if at_best else before.worst_total
            used += sum(cost for depth, cost in self._verifier.items() if depth < entry.depth)
            used += entry.scored
            left = min(left, self.budget.total_tokens - used - before.prompt_bound(entry))
        return max(left, 0)


def _advance(lane: Lane, path: NodePath, *, forked: bool) -> None:
    depth = len(path)
    if (depth, path) <= (len(lane.last), lane.last):
        raise ValueError(f"sample {path} comes before {lane.last}, which was asked for first")
    if depth > lane.depth:
        lane.depth, lane.asked = depth, 0
    lane.asked += 1
    lane.last = path
    if forked and lane.asked > lane.width:
        raise ValueError(f"a lane of width {lane.width} asked for more at depth {depth}")
