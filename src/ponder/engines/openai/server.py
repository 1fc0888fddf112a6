"""A server under test: small questions, each answered by what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ponder.backends.http import HttpClient, JsonObject
from ponder.backends.http_errors import PassingError, RequestError
from ponder.engines.openai.abilities import digest
from ponder.engines.openai.drawing import draw
from ponder.engines.openai.reader import Reader
from ponder.engines.openai.requests import OPTIONAL, Prompt, request_body
from ponder.engines.openai.wire import Chunk
from ponder.errors import PonderError
from ponder.types import Sampling

STABLE_FACTS = (
    "id",
    "owned_by",
    "root",
    "parent",
    "n_vocab",
    "n_embd",
    "n_params",
    "size",
    "ftype",
)
"""Of a model's entry in the server's list, what stays when the server is started again."""


class Listed(NamedTuple):
    """What a server lists about a model."""

    facts: str
    """Hash of all that stays when the server is started again."""
    parameters: int | None
    """Weights of the model."""


class ProbeError(PonderError):
    """A server does not do what a probe asked of it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server and the optional request fields that it takes."""

    http: HttpClient
    model: str
    optional: tuple[str, ...] = ()

    async def listed(self) -> Listed:
        """What it lists about the model; nothing, where it has no such list.

        Raises RequestError when the server cannot be reached or refuses the key.
        """
        try:
            models = (await self.http.get("models")).get("data")
        except RequestError as failure:
            if failure.status not in (404, 405, 501):
                raise
            models = None
        named = models if isinstance(models, list) else []
        entries = [entry for entry in named if isinstance(entry, dict)]
        own = [entry for entry in entries if entry.get("id") == self.model]
        # A server of one model, like llama.cpp's, takes any name for it.
        known = own or (entries if len(entries) == 1 else [{}])
        return _listed(known[0])

    async def slots(self) -> int | None:
        """How many sequences it runs at once, as llama.cpp tells; None elsewhere."""
        try:
            told = (await self.http.get("/props")).get("total_slots")
        except RequestError:
            return None
        return told if isinstance(told, int) and told > 0 else None

    async def count(self, prompt: Prompt) -> int:
        """Tokens of `prompt` as the server counts them. Raises ProbeError if it does not tell."""
        answer = await self._whole(prompt, n=1)
        if (told := answer.spent().prompt) is None:
            raise ProbeError("it does not tell how many tokens a prompt has (`usage`)")
        return told

    async def honours_n(self, prompt: Prompt) -> bool:
        """Whether a request for two samples yields two."""
        try:
            return len((await self._whole(prompt, n=2)).choices) == 2
        except PassingError:
            raise
        except RequestError:
            return False

    async def sample(
        self, prompt: Prompt, tokens: int, *, seed: int = 1, stop: tuple[str, ...] = ()
    ) -> Reader:
        """What it streams for `prompt`, ids and stop reasons as they come."""
        sampling = Sampling(temperature=1.0, max_tokens=tokens)
        body = request_body(
            self.model, prompt, sampling, seed=seed, stop=stop, optional=self.optional
        )
        reader = Reader(0, sampling, tokenizer="any")
        async for _ in draw(self.http, prompt.path, body, [reader]):
            continue
        return reader

    async def with_optional_fields(self, prompt: Prompt) -> Server:
        """This server, with the optional fields that it takes for `prompt`.

        A refusal that names a field takes away that field, another one all of them. Raises
        RequestError when it refuses a request without any, too.
        """
        server = replace(self, optional=OPTIONAL)
        while True:
            try:
                await server.sample(prompt, 1)
            except RequestError as refusal:
                if refusal.status not in (400, 422) or not server.optional:
                    raise
                server = replace(server, optional=_without(server.optional, str(refusal)))
            else:
                return server

    async def _whole(self, prompt: Prompt, n: int) -> Chunk:
        sampling = Sampling(temperature=1.0, max_tokens=1)
        body = request_body(
            self.model, prompt, sampling, seed=1, n=n, optional=self.optional, stream=False
        )
        return Chunk.read(await self.http.post(prompt.path, body))


def _without(fields: tuple[str, ...], refusal: str) -> tuple[str, ...]:
    named = max((field for field in fields if field in refusal), key=len, default=None)
    return tuple(field for field in fields if named is not None and field != named)


def _listed(entry: JsonObject) -> Listed:
    meta = entry.get("meta")
    known: Mapping[str, object] = {**entry, **meta} if isinstance(meta, dict) else entry
    parameters = known.get("n_params")
    facts = digest({name: known[name] for name in STABLE_FACTS if name in known})
    return Listed(facts, parameters if isinstance(parameters, int) else None)
