"""The samples that run in the child process: adding, following, ending them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from ponder.backends.drafting import Draft, Ending
from ponder.backends.openvino_messages import Draw, Drawn
from ponder.backends.openvino_model import OpenVinoModel
from ponder.backends.prefix_ledger import BLOCK, PrefixLedger, block_keys
from ponder.errors import EngineError

WORTH_WAITING = 16
"""Prompt tokens saved that make it worth waiting until another sample has computed them."""


@dataclass(slots=True, eq=False)
class _Sample:
    """One sample of a draw, waiting or running."""

    draw: Draw
    index: int
    keys: list[int]
    """Of the prompt's whole blocks; the draw's samples share it."""
    limit: int
    draft: Draft
    handle: Any = None
    cached: int = 0
    cancelled: bool = False
    error: str | None = field(default=None)

    def shared(self, other: _Sample) -> int:
        """Tokens of this prompt that computing `other`'s prompt leaves in the cache."""
        if self.draw.ids == other.draw.ids:
            return len(self.draw.ids) - 1
        blocks = 0
        for mine, theirs in zip(self.keys, other.keys, strict=False):
            if mine != theirs:
                break
            blocks += 1
        return blocks * BLOCK

    def drawn(self) -> Drawn:
        """What the parent is told."""
        draft, offsets = self.draft, self.draft.offsets
        kept = 0 if offsets is None else len(offsets)
        return Drawn(
            call=self.draw.call,
            index=self.index,
            text=draft.text,
            ended=draft.ended if draft.ended and self.error is None else "aborted",
            token_ids=None if offsets is None else tuple(draft.token_ids[:kept]),
            logprobs=None if offsets is None else tuple(draft.logprobs[:kept]),
            offsets=offsets,
            prompt=len(self.draw.ids),
            cached=self.cached if self.handle is not None else None,
            generated=draft.generated,
            error=self.error,
        )


class Samples:
    """All samples of one model.

    Samples whose prompts share what is not yet in the cache do not compute it side by side: one
    goes first, and the others are added when it has its first token.
    """

    def __init__(self, model: OpenVinoModel) -> None:
        self._model = model
        self._ledger = PrefixLedger(model.blocks)
        self._waiting: deque[_Sample] = deque()
        self._running: list[_Sample] = []
        self._refused: list[Drawn] = []
        self._numbers = 0

    @property
    def active(self) -> bool:
        """There is something to do."""
        pending = self._model.pipeline.has_non_finished_requests()
        return bool(self._waiting or self._running or self._refused or pending)

    @property
    def running(self) -> int:
        """The pipeline's own count of requests that have not ended, and those not yet added."""
        pipeline = self._model.pipeline
        held = int(pipeline.get_metrics().requests) if pipeline.has_non_finished_requests() else 0
        return held + len(self._waiting)

    def add(self, draw: Draw) -> None:
        """Take a draw on, or refuse it before it can harm its neighbours."""
        try:
            self._model.vocabulary.check(draw.ids)
            room = self._room(draw)
        except EngineError as error:
            self._refused += [
                Drawn(draw.call, i, prompt=len(draw.ids), generated=0, error=str(error))
                for i in range(len(draw.seeds))
            ]
            return
        carried = self._model.vocabulary.unfinished(draw.ids[draw.start :])
        ending = Ending(
            limit=min(draw.limit, room),
            at_limit=draw.at_limit if draw.limit <= room else "length",
            separator=draw.separator,
            stop=draw.stop,
            end_ids=frozenset(self._model.opened.end_ids),
        )
        keys = block_keys(draw.ids)
        for index in range(len(draw.seeds)):
            draft = Draft(self._model.vocabulary, ending, carried)
            self._waiting.append(_Sample(draw, index, keys, ending.limit, draft))

    def cancel(self, call: int) -> None:
        """Drop a call's samples.

        One whose prompt is still being computed is let go on to its first token: cancelled
        there, it would leave half-computed blocks in the cache as if they were whole, and a
        later prompt that finds them gets wrong numbers (seen with OpenVINO GenAI 2026.4.1).
        """
        self._waiting = deque(s for s in self._waiting if s.draw.call != call)
        for sample in self._running:
            if sample.draw.call == call:
                sample.cancelled = True
                if sample.draft.generated:
                    sample.handle.cancel()
        self._running = [s for s in self._running if not (s.cancelled and s.draft.generated)]

    def step(self) -> list[Drawn]:
        """Add what may run, make one step, and tell which samples ended."""
        ended, self._refused = self._refused, []
        self._admit()
        self._ledger.step()
        if self._model.pipeline.has_non_finished_requests():
            self._model.pipeline.step()
        for sample in list(self._running):
            if self._follow(sample):
                self._running.remove(sample)
                if not sample.cancelled:
                    ended.append(sample.drawn())
        return ended

    def _room(self, draw: Draw) -> int:
        room = self._model.opened.room - len(draw.ids)
        if room < 1:
            raise EngineError(
                f"a prompt of {len(draw.ids)} tokens leaves no room for an answer: "
                f"the engine holds sequences of {self._model.opened.room} tokens"
            )
        return room

    def _admit(self) -> None:
        cold = [sample for sample in self._running if not sample.draft.generated]
        held: deque[_Sample] = deque()
        while self._waiting and len(self._running) < self._model.settings.slots:
            sample = self._waiting.popleft()
            cached = self._ledger.cached(sample.draw.ids)
            if any(sample.shared(other) - cached >= WORTH_WAITING for other in cold):
                held.append(sample)
                continue
            self._start(sample, cached)
            cold.append(sample)
        self._waiting = held + self._waiting

    def _start(self, sample: _Sample, cached: int) -> None:
        self._numbers += 1
        seed = sample.draw.seeds[sample.index]
        sample.handle = self._model.add(self._numbers, sample.draw, seed, sample.limit)
        sample.cached = cached
        self._running.append(sample)

    def _follow(self, sample: _Sample) -> bool:
        """Read what the step brought; true when the sample ended."""
        was_cold = not sample.draft.generated
        while sample.draft.ended is None and sample.handle.can_read():
            for output in sample.handle.read().values():
                pairs = zip(output.generated_ids, output.generated_log_probs, strict=True)
                for token_id, logprob in pairs:
                    sample.draft.add(token_id, logprob)
        if was_cold and sample.draft.generated:
            self._ledger.record(sample.draw.ids, going_on=True)
        return self._ended(sample)

    def _ended(self, sample: _Sample) -> bool:
        status = sample.handle.get_status().name
        if sample.draft.ended is not None or (sample.cancelled and sample.draft.generated):
            if status == "RUNNING":
                sample.handle.stop()
            computed = sample.draft.token_ids[: sample.draft.generated - 1]
            self._ledger.record((*sample.draw.ids, *computed))
            return True
        if status == "RUNNING":
            return False
        sample.error = f"the engine gave up the sample ({status}): its cache ran out"
        return True
