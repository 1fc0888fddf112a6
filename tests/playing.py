"""A scripted world for the tests: a model that reasons in steps, and a verifier that judges it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ponder.answers.base import AnswerKind
from ponder.engines.scripted import Reply, Script, ScriptedEngine
from ponder.runner import Method, solve
from ponder.session import Observer, SessionOptions, Slots
from ponder.store.base import CallLog
from ponder.store.log import MemoryCallLog
from ponder.strategies.base import Strategy
from ponder.trace import Trace
from ponder.types import Answer, Prefix, Problem
from ponder.verifiers.base import Verifier
from ponder.verifiers.scripted import ScriptedVerifier

PROBLEM = Problem.ask("What is it?", "p1")


def drawn(*content: object) -> random.Random:
    """A generator that depends on the content alone."""
    return random.Random(hashlib.sha256(repr(content).encode()).digest())


def reasons(prefix: Prefix, seed: int) -> str:
    """One to four more steps in all, then an answer from 0 to 4."""
    rng = drawn(prefix.key, seed)
    steps = []
    for _ in range(rng.randint(0, max(0, 4 - prefix.depth))):
        words = " ".join(str(rng.randint(0, 9)) for _ in range(rng.randint(1, 12)))
        steps.append(f"step {words}\n\n")
    return "".join(steps) + f"The answer is {rng.randint(0, 4)}."


def fails_sometimes(prefix: Prefix, seed: int) -> str | Reply:
    """The same, and every tenth sample fails."""
    rng = drawn("fail", prefix.key, seed)
    said = reasons(prefix, seed)
    return Reply(said, error="out of memory") if rng.random() < 0.1 else said


def judged(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    """A score a step that depends on its text alone."""
    return tuple(drawn(problem.id, text).random() for text in texts)


@dataclass
class PlainAnswers:
    """What stands after "answer is", up to a full stop."""

    name: str = "plain"
    parsed: list[str] = field(default_factory=list)

    def extract(self, text: str) -> str | None:
        _, found, rest = text.rpartition("answer is ")
        return rest.strip(" .\n") or None if found else None

    async def parse(self, raw: str) -> Answer:
        self.parsed.append(raw)
        return Answer(raw, raw.lower())

    def close(self) -> None:
        pass


class LastBox:
    """The text of the last box, as it stands: enough to vote by."""

    name = "last_box"

    def extract(self, text: str) -> str | None:
        _, mark, after = text.rpartition("\\boxed{")
        return after.partition("}")[0] if mark else None

    async def parse(self, raw: str) -> Answer:
        return Answer(raw, raw)

    def close(self) -> None:
        """Holds nothing."""


@dataclass
class World:
    """Everything around a strategy, with a timing that `order` shuffles."""

    order: int = 0
    script: Script = reasons
    verifiers: Sequence[Verifier] = (ScriptedVerifier(judged),)
    slots: int = 8
    options: SessionOptions = field(default_factory=SessionOptions)
    log: CallLog = field(default_factory=MemoryCallLog)
    answers: AnswerKind = field(default_factory=PlainAnswers)
    continues: bool = True
    counts_tokens: bool = True
    observer: Observer | None = None

    def __post_init__(self) -> None:
        rng = random.Random(self.order)
        if self.order:
            self.verifiers = [_at_any_speed(verifier, rng) for verifier in self.verifiers]
        self.engine = ScriptedEngine(
            self.script,
            latency=lambda _prefix, _seed: rng.random() * 0.003 if self.order else 0,
            slots=self.slots,
            continues=self.continues,
            counts_tokens=self.counts_tokens,
        )

    def method(self, strategy: Strategy) -> Method:
        return Method(strategy, self.engine, self.verifiers, self.answers, self.options)

    async def solve(self, strategy: Strategy, problem: Problem = PROBLEM) -> Trace:
        slots = Slots(self.slots)
        trace = await solve(problem, self.method(strategy), self.log, slots, observer=self.observer)
        assert slots.free == self.slots
        assert self.engine.running == 0
        return trace


def _at_any_speed(verifier: Verifier, rng: random.Random) -> Verifier:
    """A scripted verifier without a latency of its own takes up to 3 ms."""
    if not isinstance(verifier, ScriptedVerifier) or verifier.latency:
        return verifier
    return replace(verifier, latency=lambda _prefix: rng.random() * 0.003)


def tasks_left() -> set[asyncio.Task[object]]:
    """Tasks that run besides the current one."""
    return asyncio.all_tasks() - {asyncio.current_task()}
