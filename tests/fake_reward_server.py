"""Reward models on loopback, as vLLM, llama.cpp's server or a bare endpoint serve them.

The model is a formula, so that tests know every probability; every fault is a field.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.loopback import Connection, Json, listening

VOCABULARY = 400
BLOCK = 4
"""Tokens that the fake's cache keeps together."""


def logit(token_ids: Sequence[int], token: int) -> float:
    """Of `token` after these, in -6 to 6."""
    place = sum((at % 7 + 1) * token_id for at, token_id in enumerate(token_ids))
    return 6 * math.sin(0.37 * place + 1.7 * token + len(token_ids))


def classes(token_ids: Sequence[int], count: int) -> list[float]:
    """Logits of a classification head at the last of these tokens."""
    return [logit(token_ids, 1000 + number) for number in range(count)]


@dataclass
class FakeRewardServer:
    """Behaves well unless told otherwise."""

    kind: Literal["vllm", "llama", "bare"] = "vllm"
    text_of: Callable[[int], str] = str
    """How the server writes a token where it tells no ids."""
    heads: int = 2
    pools_steps_by: int | None = None
    """The token whose rows alone `/pooling` returns."""
    leaves_out: int | None = None
    """A token whose probability it never tells."""
    likely: tuple[int, ...] = ()
    """Tokens that are the most probable ones, with the odds among them as they were."""
    first_way_hit: bool = False
    """Its two most probable tokens are the labels, once."""
    short: bool = False
    """Its answers lack their last part."""
    omits_usage: bool = False
    tells_cached: bool = True
    pause: float = 0.0
    statuses: list[int] = field(default_factory=list)
    """Of the next answers; 200 goes on."""
    requests: list[tuple[str, Json]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    url: str = ""
    _blocks: set[tuple[int, ...]] = field(default_factory=set)

    @property
    def prompts(self) -> list[list[int]]:
        """Token ids of all requests, in order of arrival."""
        bodies: list[Any] = [body for _, body in self.requests]
        return [body.get("prompt") or body["input"] for body in bodies]

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: Json, out: Connection
    ) -> None:
        self.requests.append((path, body))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.pause)
        self.running -= 1
        status = self.statuses.pop(0) if self.statuses else 200
        answers = {
            "/v1/completions": self._complete,
            "/classify": self._classify,
            "/pooling": self._pool,
        }
        if status != 200:
            await out.json({"error": {"message": f"fault {status}"}}, status)
        elif path not in answers:
            await out.json({"error": {"message": f"no route {path}"}}, 404)
        elif self.kind != "llama" and isinstance(body.get("logit_bias"), list):
            await out.json({"error": {"message": "logit_bias must be an object"}}, 400)
        elif self.kind == "bare" and body.get("logprobs", 0) != 5 and path == "/v1/completions":
            await out.json({"error": {"message": "logprobs must be at most 5"}}, 400)
        else:
            await out.json(answers[path](body))

    def _complete(self, body: Any) -> Json:
        ids: list[int] = body["prompt"]
        told = self._told(ids, body)
        if self.kind == "llama":
            content = [{"id": token, "token": self.text_of(token), **of} for token, of in told]
            kind = "top_probs" if body.get("post_sampling_probs") else "top_logprobs"
            logprobs: Json = {"content": [{kind: content}]}
        else:
            by_id = self.kind == "vllm" and body.get("return_tokens_as_token_ids")
            named = {
                f"token_id:{token}" if by_id else self.text_of(token): of["logprob"]
                for token, of in told
            }
            logprobs = {"top_logprobs": [named]}
        choice: Json = {} if self.short else {"text": "?", "logprobs": logprobs}
        return {"choices": [choice], **self._usage(ids)}

    def _told(self, ids: list[int], body: Any) -> list[tuple[int, dict[str, float]]]:
        wanted = body.get("logprob_token_ids") if self.kind == "vllm" else None
        biases = dict(body.get("logit_bias", [])) if self.kind == "llama" else {}
        if self.kind == "llama" and self.first_way_hit and not biases:
            self.first_way_hit = False
            wanted = body["logprob_token_ids"]
        logits = {token: logit(ids, token) + biases.get(token, 0) for token in range(VOCABULARY)}
        logits.update({token: logits[token] + 20 for token in self.likely})
        ranked = wanted or sorted(logits, key=logits.__getitem__, reverse=True)[: body["logprobs"]]
        greatest = max(logits.values())
        if self.kind == "llama" and "post_sampling_probs" in body and body.get("samplers") != []:
            ranked = [token for token in ranked if logits[token] > greatest + math.log(0.05)]
        total = greatest + math.log(math.fsum(math.exp(at - greatest) for at in logits.values()))
        shown = [token for token in ranked if token != self.leaves_out]
        if body.get("post_sampling_probs") and self.kind == "llama":
            return [(at, {"prob": math.exp(logits[at] - total)}) for at in shown]
        return [(at, {"logprob": logits[at] - total}) for at in shown]

    def _classify(self, body: Any) -> Json:
        ids: list[int] = body["input"]
        assert body["use_activation"] is False
        assert body["add_special_tokens"] is False
        probs = [] if self.short else classes(ids, self.heads)
        return {"data": [{"index": 0, "probs": probs}], **self._usage(ids, told=False)}

    def _pool(self, body: Any) -> Json:
        ids: list[int] = body["input"]
        assert body["task"] == "token_classify"
        ends = [
            end for end in range(1, len(ids) + 1) if self.pools_steps_by in (None, ids[end - 1])
        ]
        rows = [classes(ids[:end], self.heads) for end in ends]
        return {"data": [{"data": rows[:-1] if self.short else rows}], **self._usage(ids)}

    def _usage(self, ids: list[int], *, told: bool = True) -> Json:
        """With the tokens of whole blocks that came before, never the prompt's last token."""
        if self.omits_usage:
            return {}
        ends = range(BLOCK, len(ids) + 1, BLOCK)
        held = [end for end in ends if end < len(ids) and tuple(ids[:end]) in self._blocks]
        self._blocks.update(tuple(ids[:end]) for end in ends)
        usage: Json = {"prompt_tokens": len(ids)}
        if told and self.tells_cached:
            usage["prompt_tokens_details"] = {"cached_tokens": max(held, default=0)}
        return {"usage": usage}


@asynccontextmanager
async def serving(fake: FakeRewardServer) -> AsyncGenerator[FakeRewardServer, None]:
    """The fake, listening at `fake.url`."""
    async with listening(fake.answer) as url:
        fake.url = url
        yield fake
