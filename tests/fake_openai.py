"""An OpenAI-compatible server on loopback that fails at will: every fault is a field."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.loopback import Connection, Json, listening

TURN, END, HEADER = "<|user|>", "<|end|>", "<|assistant|>"


def story(seed: int) -> str:
    """What the fake model answers: three steps, the first of which names the seed."""
    return f"Plan {seed} is wide.\n\nIt has 3 colours.\n\nSo the answer is 42."


class Tokens:
    """Words with the blank before them, runs of two line breaks, marks, single characters."""

    def __init__(self) -> None:
        self.known: list[str] = [END]

    def pieces(self, text: str) -> list[str]:
        return re.findall(r"<\|\w+\|>|\n\n| ?\w+|\W", text)

    def ids(self, text: str) -> list[int]:
        return [self._id(piece) for piece in self.pieces(text)]

    def text(self, ids: list[int]) -> str:
        return "".join(self.known[at] for at in ids)

    def _id(self, piece: str) -> int:
        if piece not in self.known:
            self.known.append(piece)
        return self.known.index(piece)


@dataclass
class FakeServer:
    """Behaves like vLLM unless told otherwise."""

    story: Callable[[int], str] = story
    """From the seed to the whole answer; a partial one goes on with the step after its last."""
    tokenizes: bool = True
    """Has `/tokenize`, and takes and tells token ids."""
    completes: bool = True
    """Has `/v1/completions`."""
    wraps_completions: bool = False
    """Puts its template around completions."""
    tells_stop: bool = True
    """`stop_reason` names the stop string."""
    trims_separator: bool = False
    restarts_turn: bool = False
    ignores_n: bool = False
    ignores_limit: bool = False
    omits_usage: bool = False
    streams: bool = True
    refuses: tuple[str, ...] = ()
    """Optional fields that it answers with 400."""
    error: str | None = None
    """It answers each generation with 400 and this message."""
    drops_after: int | None = None
    """Tokens after which each stream breaks off."""
    ends_as: str | None = None
    """A finish reason of its own."""
    reasoning: str = ""
    pause: float = 0.0
    """Seconds before each token."""
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses and headers for the next requests; status 0 drops the connection, -1 hangs."""
    requests: list[tuple[str, Json]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    running: int = 0
    """Generations under way."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last of them has ended."""
    abandoned: int = 0
    """Generations whose client went away."""
    url: str = ""
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def generations(self) -> list[Json]:
        """Bodies of all requests to generate."""
        return [body for path, body in self.requests if path.endswith("completions")]

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: Json, out: Connection
    ) -> None:
        self.requests.append((path, body))
        self.keys.append(headers.get("authorization"))
        if self.faults:
            await self._fail(out)
        elif path == "/v1/models":
            await out.json({"data": [{"id": "fake", "owned_by": "tests", "root": "fake"}]})
        elif path == "/tokenize" and self.tokenizes:
            await out.json({"tokens": self.tokens.ids(self._tokenize_text(body))})
        elif path == "/v1/chat/completions" or (path == "/v1/completions" and self.completes):
            await self._generate(body, out)
        else:
            await out.json({"error": {"message": f"no route {path}"}}, 404)

    async def _fail(self, out: Connection) -> None:
        status, headers = self.faults.pop(0)
        if status == -1:
            await asyncio.sleep(3600)
        if status > 0:
            await out.json({"error": {"message": f"fault {status}"}}, status, headers)

    def _tokenize_text(self, body: Json) -> str:
        return self._rendered(body) if "messages" in body else str(body["prompt"])

    def _rendered(self, body: Json) -> str:
        turns: list[dict[str, str]] = body["messages"]  # type: ignore[assignment]
        answer = ""
        if turns[-1]["role"] == "assistant":
            *turns, last = turns
            answer = last["content"].rstrip() if self.trims_separator else last["content"]
            if self.restarts_turn or not body.get("continue_final_message"):
                answer += END + HEADER
        return "".join(TURN + turn["content"] + END for turn in turns) + HEADER + answer

    def _prompt(self, body: Json) -> str:
        if "messages" in body:
            return self._rendered(body)
        prompt = body["prompt"]
        text = prompt if isinstance(prompt, str) else self.tokens.text(prompt)  # type: ignore[arg-type]
        return TURN + text + END + HEADER if self.wraps_completions else text

    async def _generate(self, body: Json, out: Connection) -> None:
        refused = [name for name in self.refuses if name in body]
        if refused or self.error:
            message = self.error or f"Unrecognized request argument supplied: {refused[0]}"
            await out.json({"error": {"message": message}}, 400)
            return
        self.running += 1
        self.idle.clear()
        try:
            if body["stream"] and self.streams:
                await self._stream(body, out)
            else:
                await out.json(await self._whole(body))
        except ConnectionError:
            self.abandoned += 1
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()

    async def _whole(self, body: Json) -> Json:
        choices: list[Json] = []
        spent = 0
        for index in range(1 if self.ignores_n else int(str(body["n"]))):
            drawing = Drawing(self, body, index)
            text = "".join([piece async for piece in drawing])
            spent += drawing.count
            choices.append(drawing.choice(text, [], finished=True))
        return {"choices": choices, **self._usage(body, spent)}

    async def _stream(self, body: Json, out: Connection) -> None:
        await out.start()
        spent = 0
        for index in range(1 if self.ignores_n else int(str(body["n"]))):
            drawing = Drawing(self, body, index)
            async for piece in drawing:
                await out.event({"choices": [drawing.choice(piece, self.tokens.ids(piece))]})
                if drawing.count == self.drops_after:
                    return
            await out.event({"choices": [drawing.choice("", [0], finished=True)]})
            spent += drawing.count + 1
        await out.event({"choices": [], **self._usage(body, spent)})
        await out.finish()

    def _usage(self, body: Json, spent: int) -> Json:
        if self.omits_usage:
            return {}
        prompt = len(self.tokens.pieces(self._prompt(body)))
        return {"usage": {"prompt_tokens": prompt, "completion_tokens": spent}}


class Drawing:
    """One sample: its tokens one by one, then how it ended."""

    def __init__(self, server: FakeServer, body: Json, index: int) -> None:
        self.server, self.body, self.index = server, body, index
        self.count = 0
        self.reason = "stop"
        self.stop_reason: str | None = None
        partial = server._prompt(body).rpartition(HEADER)[2]
        steps = server.story(int(str(body["seed"])) + index).split("\n\n")
        self._rest = "\n\n".join(steps[partial.count("\n\n") :])

    async def __aiter__(self) -> AsyncGenerator[str, None]:
        """The pieces, until a stop string, which is left out, or the limit."""
        stops: list[str] = self.body.get("stop", [])  # type: ignore[assignment]
        limit = 10**6 if self.server.ignores_limit else int(str(self.body["max_tokens"]))
        for piece in self.server.tokens.pieces(self._rest):
            await asyncio.sleep(self.server.pause)
            hit = next((stop for stop in stops if stop in piece), None)
            if hit is not None:
                self.stop_reason = hit if self.server.tells_stop else None
                self.count += 1
                return
            if self.count == limit:
                self.reason = "length"
                return
            self.count += 1
            yield piece
        if self.count == limit:
            self.reason = "length"

    def choice(self, text: str, ids: list[int], *, finished: bool = False) -> Json:
        chat = "messages" in self.body
        logprobs = self._logprobs(text, chat) if ids and self.body.get("logprobs") else None
        told: Json = {"index": self.index, "logprobs": logprobs, "finish_reason": None}
        if chat:
            thought = self.server.reasoning if self.count == 1 else None
            message = {"content": text, "reasoning_content": thought}
            told["delta" if ids else "message"] = message
        else:
            told["text"] = text
        if self.body.get("return_token_ids") and self.server.tokenizes:
            told["token_ids"] = ids
        if finished:
            told["finish_reason"] = self.server.ends_as or self.reason
            told["stop_reason"] = self.stop_reason
        return told

    def _logprobs(self, text: str, chat: bool) -> Json:
        if chat:
            return {"content": [{"token": text, "logprob": -0.5}]}
        return {"tokens": [text], "token_logprobs": [-0.5]}


@asynccontextmanager
async def serving(fake: FakeServer) -> AsyncGenerator[FakeServer, None]:
    """The fake, listening at `fake.url`."""
    async with listening(fake.answer) as url:
        fake.url = url
        yield fake
