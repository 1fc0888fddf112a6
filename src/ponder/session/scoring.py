"""Scores prefixes: equal ones once, from the call log where it has them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from ponder.errors import EngineError, VerifierError, VerifierLostError
from ponder.session.calls import pack_scores, score_request, unpack_scores
from ponder.session.options import SessionOptions
from ponder.store.base import CallKey, CallLog
from ponder.types import Prefix, Problem, ScoreFailure, StepScores
from ponder.verifiers.base import Verifier, VerifierInfo

Scores = StepScores | ScoreFailure
Key = tuple[str, bytes]
"""A verifier's name and a prefix's key."""


class Scoring:
    """One problem's scores, by verifier and prefix."""

    def __init__(
        self,
        problem: Problem,
        verifiers: Sequence[Verifier],
        log: CallLog,
        options: SessionOptions,
    ) -> None:
        self.infos = tuple(verifier.info for verifier in verifiers)
        self.shared = 0
        """Prefixes that were not scored again because an equal one was."""
        self._problem = problem
        self._verifiers = verifiers
        self._log = log
        self._options = options
        self._known: dict[Key, asyncio.Future[Scores]] = {}
        self._foreseen: set[Key] = set()
        """Scored before they were asked for."""
        self._computed: set[Key] = set()
        """The verifier was asked for them: they are not from the log."""

    async def score(self, prefixes: Sequence[Prefix], *, foreseen: bool = False) -> list[Scores]:
        """The first verifier's scores; every verifier's are kept.

        What is `foreseen` will be asked for again, which saves nothing then.
        """
        if not self._verifiers:
            raise VerifierError("the strategy scores its steps and no verifier is given: name one")
        parts = zip(self._verifiers, self.infos, strict=True)
        results = [await self._by(verifier, info, prefixes, foreseen) for verifier, info in parts]
        return results[0]

    def of(self, prefix: Prefix) -> dict[str, Scores]:
        """What is known of a prefix, by verifier name."""
        known: dict[str, Scores] = {}
        for info in self.infos:
            future = self._known.get((info.name, prefix.key))
            if future is not None and future.done():
                known[info.name] = future.result()
        return known

    async def _by(
        self,
        verifier: Verifier,
        info: VerifierInfo,
        prefixes: Sequence[Prefix],
        foreseen: bool = False,
    ) -> list[Scores]:
        name = info.name
        distinct = {p.key: p for p in prefixes if (name, p.key) not in self._known}
        new = list(distinct.values()) if self._options.share else self._again(name, prefixes)
        self._count_shared([(name, prefix.key) for prefix in prefixes], len(new), foreseen)
        loop = asyncio.get_running_loop()
        asked = {key: loop.create_future() for key in distinct}
        self._known.update({(name, key): future for key, future in asked.items()})
        try:
            await self._ask(verifier, info, new, asked)
        finally:
            for key, future in asked.items():
                if not future.done():  # this call was cancelled: the next one asks again
                    del self._known[name, key]
                    future.cancel()
        return [
            known.result()
            if (known := self._known.get((name, prefix.key))) is not None and known.done()
            else await self._of(verifier, info, prefix)
            for prefix in prefixes
        ]

    async def _of(self, verifier: Verifier, info: VerifierInfo, prefix: Prefix) -> Scores:
        """What the call that was first to ask gives; asked for again where that was cancelled."""
        known = self._known.get((info.name, prefix.key))
        if known is not None:
            await asyncio.wait([known])  # cancelled, it leaves the answer to those who wait too
            if not known.cancelled():
                return known.result()
        self.shared -= self._options.share
        [scores] = await self._by(verifier, info, [prefix])
        return scores

    def _count_shared(self, keys: Sequence[Key], new: int, foreseen: bool) -> None:
        """Of those that were foreseen, the first that is asked for shares nothing."""
        if foreseen:
            self._foreseen.update(key for key in keys if key not in self._known)
            return
        self.shared += len(keys) - new
        if self._foreseen:
            first = self._foreseen.intersection(keys)
            self._foreseen -= first
            self.shared -= len(first)

    def _again(self, name: str, prefixes: Sequence[Prefix]) -> list[Prefix]:
        """All that no log has answered: equal ones as often as they come."""
        known, computed = self._known, self._computed
        keys = [(name, prefix.key) for prefix in prefixes]
        pairs = zip(keys, prefixes, strict=True)
        return [prefix for key, prefix in pairs if key not in known or key in computed]

    async def _ask(
        self,
        verifier: Verifier,
        info: VerifierInfo,
        new: Sequence[Prefix],
        asked: Mapping[bytes, asyncio.Future[Scores]],
    ) -> None:
        """Answer from the log, and the rest in one call of the verifier; first answers count."""
        keys = {prefix.key: self._key(info, prefix) for prefix in new if prefix.key in asked}
        for key, named in keys.items():
            record = self._log.get(named)
            if record and (self._options.failures_from_log or not record.failed):
                asked[key].set_result(unpack_scores(record))
        answered = {key for key, future in asked.items() if future.done()}
        left = [prefix for prefix in new if prefix.key not in answered]
        if not left:
            return
        self._computed.update((info.name, prefix.key) for prefix in left)
        for prefix, scores in zip(left, await self._call(verifier, info, left), strict=True):
            first = asked.get(prefix.key)
            if first is not None and not first.done():
                self._log.put(keys[prefix.key], pack_scores(scores))
                first.set_result(scores)

    def _key(self, info: VerifierInfo, prefix: Prefix) -> CallKey:
        """Without a node: of equal prefixes, whichever comes first is scored for all."""
        return CallKey(self._problem.id, (), "score", info.identity, score_request(prefix))

    async def _call(
        self, verifier: Verifier, info: VerifierInfo, prefixes: Sequence[Prefix]
    ) -> list[Scores]:
        """The verifier's answers, with every kind of failure turned into a `ScoreFailure`.

        What fails together is asked for one by one: which prefixes come together depends on speed,
        and must not decide which of them fail. A verifier that will fail for good is raised:
        VerifierLostError.
        """
        try:
            scores = await verifier.score(self._problem, prefixes)
        except VerifierLostError:
            raise
        except (VerifierError, EngineError, OSError) as error:
            if len(prefixes) == 1:
                return [ScoreFailure(str(error) or type(error).__name__)]
            async with asyncio.TaskGroup() as group:
                alone = [group.create_task(self._call(verifier, info, [one])) for one in prefixes]
            return [scores for task in alone for scores in task.result()]
        if len(scores) != len(prefixes):
            reason = f"{info.name} gave {len(scores)} scores for {len(prefixes)} prefixes"
            return [ScoreFailure(reason) for _ in prefixes]
        pairs = zip(scores, prefixes, strict=True)
        return [_checked(answer, prefix, info) for answer, prefix in pairs]


def _checked(scores: Scores, prefix: Prefix, info: VerifierInfo) -> Scores:
    """The scores as floats, which they are after any record of them, or what is wrong."""
    if isinstance(scores, ScoreFailure):
        return scores
    wanted = 1 if info.scores == "solution" else prefix.depth
    if len(scores.scores) != wanted:
        return ScoreFailure(f"{info.name} gave {len(scores.scores)} scores, {wanted} were wanted")
    low, high = info.low, info.high
    for score in scores.scores:
        if not (low <= score <= high and math.isfinite(score)):
            return ScoreFailure(f"{info.name} gave {score}, outside {info.low} to {info.high}")
    if scores.tokens and len(scores.tokens) != prefix.depth + 1:
        return ScoreFailure(
            f"{info.name} told the tokens of {len(scores.tokens)} parts, the question and "
            f"{prefix.depth} steps were wanted"
        )
    return StepScores(tuple(map(float, scores.scores)), scores.tokens)
