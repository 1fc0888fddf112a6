"""A chat endpoint on loopback that judges as a function says."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Connection, Json, listening


@dataclass
class FakeJudge:
    """Behaves like vLLM unless told otherwise."""

    critique: Callable[[int, str], str]
    """From the number of the request and the last turn to the answer."""
    forced: dict[str, float] = field(default_factory=lambda: {" Yes": 0.6, " yes": 0.1, "No": 0.1})
    """Probabilities of the token after a forced question."""
    ended: Callable[[str], str] = lambda text: "stop"
    """Why an answer ended."""
    hosted: bool = False
    """Refuses fields that OpenAI's API does not have."""
    omits_usage: bool = False
    status: Callable[[int], int] = lambda number: 200
    bodies: list[Any] = field(default_factory=list)
    url: str = ""

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: Json, out: Connection
    ) -> None:
        number = len(self.bodies)
        self.bodies.append(body)
        extra = [name for name in ("top_k", "min_p", "repeat_penalty") if name in body]
        if path != "/v1/chat/completions":
            await out.json({"error": {"message": f"no route {path}"}}, 404)
        elif self.hosted and extra:
            message = f"Unrecognized request argument supplied: {extra[0]}"
            await out.json({"error": {"message": message}}, 400)
        elif (status := self.status(number)) != 200:
            await out.json({"error": {"message": f"fault {status}"}}, status)
        else:
            await out.json({"choices": [self._choice(number, body)], **self._usage()})

    def _choice(self, number: int, body: Any) -> Json:
        last = body["messages"][-1]
        if last["role"] != "assistant":
            text = self.critique(number, last["content"])
            return {"message": {"content": text}, "finish_reason": self.ended(text)}
        assert body["continue_final_message"]
        assert not body["add_generation_prompt"]
        told = [
            {"token": token, "logprob": math.log(value)} for token, value in self.forced.items()
        ]
        return {"message": {"content": "?"}, "logprobs": {"content": [{"top_logprobs": told}]}}

    def _usage(self) -> Json:
        if self.omits_usage:
            return {}
        cached = {"cached_tokens": 60}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": cached}
        return {"usage": usage}


@asynccontextmanager
async def serving(fake: FakeJudge) -> AsyncGenerator[FakeJudge, None]:
    """The fake, listening at `fake.url`."""
    async with listening(fake.answer) as url:
        fake.url = url
        yield fake
