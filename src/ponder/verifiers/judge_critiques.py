"""Draws critiques from a chat endpoint, and reads how sure a critique is of its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ponder.backends.http import JsonObject
from ponder.backends.http_errors import RequestError
from ponder.types import Usage
from ponder.verifiers.judge_verdicts import QUESTION, before_verdict
from ponder.verifiers.remote_connection import RemoteConnection
from ponder.verifiers.remote_wire import Generated, TokenProbability, read

CHAT = "chat/completions"
FORCED = f"\n{QUESTION} "
"""Appended to a critique, so that the next token is its verdict (ThinkPRM, section 3.3)."""
NEUTRAL: JsonObject = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""Switches off what servers do unasked; hosted ones refuse these fields."""

Turns = list[dict[str, str]]


class Critique(NamedTuple):
    """One answer of the judge."""

    text: str
    usage: Usage
    cut: bool
    """It ended at its limit of tokens, before its verdict."""


class Sureness(NamedTuple):
    """The forced verdict of a critique."""

    yes: float | None
    """P(yes) / (P(yes) + P(no)); None where neither is among the tokens told."""
    usage: Usage


@dataclass(slots=True)
class Critic:
    """The model behind one chat endpoint."""

    connection: RemoteConnection
    model: str
    temperature: float
    max_tokens: int
    _neutral: bool = field(default=True, init=False)

    async def critique(self, turns: Turns, seed: int) -> Critique:
        """One critique. Raises RequestError."""
        sampling: JsonObject = {
            "temperature": self.temperature,
            "top_p": 1.0,
            "max_tokens": self.max_tokens,
            "seed": seed,
        }
        answer = await self._ask(turns, sampling)
        return Critique(answer.text, answer.spent, answer.cut)

    async def sureness(self, turns: Turns, critique: str) -> Sureness:
        """How probable yes is after the critique, its own verdict left out. Raises RequestError."""
        forced = {"role": "assistant", "content": before_verdict(critique) + FORCED}
        fields: JsonObject = {
            "temperature": 1.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": 20,
            "add_generation_prompt": False,
            "continue_final_message": True,
        }
        answer = await self._ask([*turns, forced], fields)
        return Sureness(share_of_yes(answer.first_token()), answer.spent)

    async def _ask(self, turns: Turns, fields: JsonObject) -> Generated:
        body: JsonObject = {"model": self.model, "messages": turns, "stream": False, **fields}
        if self._neutral:
            try:
                return read(Generated, await self.connection.post(CHAT, {**body, **NEUTRAL}))
            except RequestError as refusal:
                if refusal.status not in (400, 422):
                    raise
        answer = read(Generated, await self.connection.post(CHAT, body))
        self._neutral = False
        return answer


def share_of_yes(told: Sequence[TokenProbability]) -> float | None:
    """The part of all tokens that read as yes, in any case, in those that read as yes or no.

    Servers tell the most probable tokens alone. One of the two that is not among them counts as
    much as it can: as the least probable token told, and at most what is left of 1.
    """
    shares = [
        (token.token.strip().lower(), math.exp(token.log))
        for token in told
        if token.log is not None
    ]
    yes, no = (sum(share for word, share in shares if word == label) for label in ("yes", "no"))
    if yes == no == 0:
        return None
    values = [share for _, share in shares]
    bound = min(*values, max(1 - sum(values), 0.0))
    return (yes or bound) / ((yes or bound) + (no or bound))
