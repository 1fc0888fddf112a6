"""Reads the classes that a served classification model gives a token: vLLM's pooling endpoints.

`classify` pools the last token of a prompt and reads the server's prefix cache, so a step costs its
own tokens. vLLM serves sequence classification so, and token classification (TRL's checkpoints)
when started with `--pooler-config '{"task": "classify"}'`.

`pooling` gives every token of a prompt at once and computes all of them each time, as vLLM skips
its cache for it: the slow mode, for models that have no `classify` (Qwen2.5-Math-PRM).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.backends.http import JsonObject
from ponder.backends.http_errors import RequestError
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_counts import Bill
from ponder.verifiers.remote_labels import UnreadableError
from ponder.verifiers.remote_wire import Classified, Pooled, read

CLASSIFY, POOLING = "/classify", "/pooling"
"""Beside `/v1`."""


Logits = tuple[float, ...]
"""Of the classes of one token."""


@dataclass(frozen=True, slots=True)
class ClassReader:
    """Asks one server for logits: softmax and sigmoid are the family's, never the server's.

    Each request is billed once it is answered.
    """

    connection: RemoteConnection
    model: str

    async def last(self, token_ids: Sequence[int], bill: Bill) -> Logits:
        """The classes of the last token. Raises RequestError."""
        try:
            answer = read(Classified, await self.connection.post(CLASSIFY, self._body(token_ids)))
        except RequestError as failure:
            if failure.status in (404, 501):
                failure.args = (f"{failure}; where only tokens are pooled: `mode` = pooling",)
            raise
        bill(answer.spent)
        return tuple(answer.data[0].probs)

    async def at(
        self, token_ids: Sequence[int], positions: Sequence[int], bill: Bill
    ) -> tuple[Logits, ...]:
        """The classes of the tokens at `positions`, in order.

        A server that pools steps (`step_tag_id`) tells just their rows. Raises RequestError,
        UnreadableError where there are rows neither for each token nor for each position.
        """
        body: JsonObject = {**self._body(token_ids), "task": "token_classify"}
        answer = read(Pooled, await self.connection.post(POOLING, body))
        bill(answer.spent)
        rows = [tuple(row) for row in answer.data[0].data]
        if len(rows) == len(token_ids):
            return tuple(rows[at] for at in positions)
        if len(rows) == len(positions):
            return tuple(rows)
        raise UnreadableError(
            f"the server pooled {len(rows)} tokens of a prompt of {len(token_ids)} tokens and "
            f"{len(positions)} steps"
        )

    def _body(self, token_ids: Sequence[int]) -> JsonObject:
        return {
            "model": self.model,
            "input": list(token_ids),
            "add_special_tokens": False,
            "use_activation": False,
        }
