"""Reads the probabilities of two labels as the next token, from any completions endpoint.

Servers tell the probability of a chosen token in different ways, or only of the most probable
ones. The ways are tried in an order that never mistakes one for another: a way counts only if both
labels were read, and one that stops reading them makes room for the next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ponder.backends.http import JsonObject
from ponder.backends.http_errors import RequestError
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_counts import Bill
from ponder.verifiers.remote_wire import Generated, TokenProbability, read

COMPLETIONS = "completions"
REFUSED = (400, 422)
"""Statuses of a server that does not take a field."""
BIAS = 100.0
"""Added to both labels' logits alike: over any difference of logits; in float32 it costs 1e-5."""


class Label(NamedTuple):
    """A token whose probability is asked for."""

    id: int
    text: str
    """As the tokenizer writes it, with the blank before it if it has one."""


class UnreadableError(RequestError):
    """The server did not tell what was asked for; the message names it."""

    def __init__(self, message: str, missing: int = 1) -> None:
        super().__init__(message)
        self.missing = missing
        """How many things it did not tell."""


def _by_id(labels: tuple[Label, Label]) -> JsonObject:
    """As vLLM is asked: it tells the tokens that are named, from its raw logits."""
    ids = [label.id for label in labels]
    return {
        "logprobs": len(ids),
        "logprob_token_ids": ids,
        "return_tokens_as_token_ids": True,
        # For a server that was set to tell what is left after its samplers.
        "allowed_token_ids": ids,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }


def _by_bias(labels: tuple[Label, Label]) -> JsonObject:
    """As llama.cpp is asked: both labels, raised above all others, are left after its samplers."""
    return {
        "logprobs": len(labels),
        "n_probs": len(labels),
        "post_sampling_probs": True,
        "logit_bias": [[label.id, BIAS] for label in labels],
        "samplers": [],  # its own would cut the less probable label off
    }


def _among_twenty(labels: tuple[Label, Label]) -> JsonObject:  # noqa: ARG001  (one shape for all)
    return {"logprobs": 20, "return_tokens_as_token_ids": True}


def _among_five(labels: tuple[Label, Label]) -> JsonObject:  # noqa: ARG001
    return {"logprobs": 5}


WAYS: Final = (_by_id, _by_bias, _among_twenty, _among_five)
"""The fields that ask a kind of server for two labels."""


@dataclass(slots=True)
class LabelReader:
    """Asks one server for two labels, one token a request."""

    connection: RemoteConnection
    model: str
    labels: tuple[Label, Label]
    """The probability of the first is told."""
    _way: int = field(default=0, init=False)
    _settled: bool = field(default=False, init=False)
    _first: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def read(self, token_ids: Sequence[int], bill: Bill) -> float:
        """The first label's share after `token_ids`, in [0, 1].

        Each request is billed once it is answered, whether or not it told the labels. Raises
        RequestError, UnreadableError where the server does not tell both labels.
        """
        if self._settled:
            return await self._by_ways(token_ids, bill)
        async with self._first:  # one request finds the way for all
            return await self._by_ways(token_ids, bill)

    async def _by_ways(self, token_ids: Sequence[int], bill: Bill) -> float:
        failures: list[RequestError] = []
        for number in range(self._way, len(WAYS)):
            try:
                told = await self._ask(WAYS[number](self.labels), token_ids)
                bill(told.spent)
                found = share(told.first_token(), self.labels)
            except RequestError as failure:
                if not isinstance(failure, UnreadableError) and failure.status not in REFUSED:
                    raise
                failures.append(failure)
            else:
                self._way, self._settled = max(self._way, number), True
                return found
        raise min(failures, key=_distance)

    async def _ask(self, fields: JsonObject, token_ids: Sequence[int]) -> Generated:
        body: JsonObject = {
            "model": self.model,
            "prompt": list(token_ids),
            "max_tokens": 1,
            "temperature": 1.0,
            "top_p": 1.0,
            "stream": False,
            **fields,
        }
        return read(Generated, await self.connection.post(COMPLETIONS, body))


def share(told: Sequence[TokenProbability], labels: tuple[Label, Label]) -> float:
    """P(first) / (P(first) + P(second)).

    Tokens are matched by id where the server tells ids, else by their exact text. Raises
    UnreadableError naming a label that is not told.
    """
    first, second = (_log_probability(told, label) for label in labels)
    if first is None or second is None:
        missing = [at for at, log in zip(labels, (first, second), strict=True) if log is None]
        names = " and ".join(f"{label.text!r} (token {label.id})" for label in missing)
        raise UnreadableError(
            f"the label{'s' * (len(missing) > 1)} {names} cannot be read: not among the "
            f"{len(told)} tokens whose probabilities the server tells",
            len(missing),
        )
    if first == second == -math.inf:
        raise UnreadableError(f"both {labels[0].text!r} and {labels[1].text!r} have probability 0")
    odds = math.exp(-abs(first - second))  # of the less probable one, so that nothing overflows
    return 1 / (1 + odds) if first >= second else odds / (1 + odds)


def _log_probability(told: Sequence[TokenProbability], label: Label) -> float | None:
    """None where it is not told, or two tokens read so and none has an id."""
    found = [token.log for token in told if _is(token, label)]
    return found[0] if len(found) == 1 else None


def _distance(failure: RequestError) -> int:
    """How far a way was from telling both labels: what is worth reporting comes first."""
    return failure.missing if isinstance(failure, UnreadableError) else 3


def _is(token: TokenProbability, label: Label) -> bool:
    return token.id == label.id if token.id is not None else token.token == label.text
