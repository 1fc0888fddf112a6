"""The samples of one model in the child process: adding, following, ending them."""

from __future__ import annotations

from collections import deque

from ponder.backends.cache_room import CacheRoom
from ponder.backends.drafting import Draft, Ending
from ponder.backends.openvino_messages import Draw, Drawn
from ponder.backends.openvino_model import OpenVinoModel
from ponder.backends.openvino_request import Request
from ponder.backends.prefix_ledger import PrefixLedger, block_keys
from ponder.errors import EngineError

WORTH_WAITING = 16
"""Prompt tokens saved that make it worth waiting until another sample has computed them."""


class Samples:
    """All samples of one model.

    Samples whose prompts share what is not yet in the cache do not compute it side by side: one
    goes first, and the others are added when it has its first token.
    """

    def __init__(self, model: OpenVinoModel) -> None:
        self._model = model
        self._ledger = PrefixLedger(model.blocks)
        self._cache = CacheRoom(model.blocks)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._leaving: list[Request] = []
        self._refused: list[Drawn] = []
        self._added = 0

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
            ending = self._ending(draw)
        except EngineError as error:
            self._refused += [
                Drawn(draw.call, index, prompt=len(draw.ids), generated=0, error=str(error))
                for index in range(len(draw.seeds))
            ]
            return
        vocabulary = self._model.vocabulary
        carried = vocabulary.unfinished(draw.ids[draw.start :])
        keys = tuple(block_keys(draw.ids))
        for index in range(len(draw.seeds)):
            draft = Draft(vocabulary, ending, carried)
            self._waiting.append(Request(draw, index, keys, ending.limit, draft))

    def cancel(self, call: int) -> None:
        """Drop a call's samples.

        One whose prompt is still being computed is let go on to its first token: cancelled
        there, it would leave half-computed blocks in the cache as if they were whole, and a
        later prompt that finds them gets wrong numbers (seen with OpenVINO GenAI 2026.4.1).
        """
        self._waiting = deque(item for item in self._waiting if item.draw.call != call)
        for request in [item for item in self._running if item.draw.call == call]:
            request.cancelled = True
            if not request.cold:
                self._let_go(request)

    def step(self) -> list[Drawn]:
        """Add what may run, make one step, and tell which samples ended."""
        ended, self._refused = self._refused, []
        self._admit()
        self._ledger.step()
        left, self._leaving = self._leaving, []
        if self._model.pipeline.has_non_finished_requests():
            self._model.pipeline.step()
        for request in left:
            self._cache.give_back(request.keys, request.tokens)
        for request in list(self._running):
            if self._follow(request):
                self._let_go(request)
                if not request.cancelled:
                    ended.append(request.drawn())
        return ended

    def _ending(self, draw: Draw) -> Ending:
        """What ends the samples of a draw; EngineError if they cannot be drawn."""
        self._model.vocabulary.check(draw.ids)
        ending = Ending(
            limit=draw.limit,
            at_limit=draw.at_limit,
            separator=draw.separator,
            stop=draw.stop,
            end_ids=frozenset(self._model.opened.end_ids),
        )
        return ending.after(len(draw.ids), self._model.opened.room)

    def _admit(self) -> None:
        """Start waiting samples, oldest first, while there are slots and room in the cache."""
        cold = [request for request in self._running if request.cold]
        held: deque[Request] = deque()
        while self._waiting and len(self._running) < self._model.settings.slots:
            if not self._cache.fits(self._waiting[0].keys, self._waiting[0].tokens):
                break
            request = self._waiting.popleft()
            cached = self._ledger.cached(request.draw.ids)
            if any(request.shared(other) - cached >= WORTH_WAITING for other in cold):
                held.append(request)
                continue
            self._start(request)
            cold.append(request)
        self._waiting = held + self._waiting

    def _start(self, request: Request) -> None:
        self._added += 1
        seed = request.draw.seeds[request.index]
        request.handle = self._model.add(self._added, request.draw, seed, request.limit)
        request.cached = self._ledger.use(request.draw.ids)
        self._cache.take(request.keys, request.tokens)
        self._running.append(request)

    def _follow(self, request: Request) -> bool:
        """Read what the step brought; true when the sample is at its end."""
        was_cold = request.cold
        request.read()
        if was_cold and not request.cold:
            self._ledger.record(request.draw.ids, going_on=True)
        if request.draft.ended is not None or (request.cancelled and not request.cold):
            return True
        status: str = request.handle.get_status().name
        if status == "RUNNING":
            return False
        request.error = f"the engine gave the sample up ({status})"
        return True

    def _let_go(self, request: Request) -> None:
        """End a sample; the pipeline frees its cache with the next step."""
        if request.handle.get_status().name == "RUNNING":
            request.handle.stop()
        if not request.cold:
            self._ledger.record(request.computed)
        self._running.remove(request)
        self._leaving.append(request)
