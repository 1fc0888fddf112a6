"""Turns a conversation into what the model reads, up to where its answer begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from ponder.backends.checkpoint_text import PINNED
from ponder.backends.http import HttpClient, JsonObject
from ponder.backends.http_errors import RequestError
from ponder.errors import MissingExtraError, UsageError
from ponder.types import Message

Opening = str | tuple[int, ...]
"""A rendered conversation: text without the tokenizer's own first token, or token ids."""

Answer = TypeVar("Answer", bound=BaseModel)


class Template(Protocol):
    """Renders conversations."""

    async def opening(self, messages: Sequence[Message]) -> Opening:
        """The conversation, and the header of the turn that answers it."""
        ...


class GivenTemplate:
    """A Jinja chat template that the caller gave, as text or as a path to a file.

    `bos_token` is empty, since servers put their first token before any text that they read, and
    `strftime_now` is not defined: templates then fall back to a date of their own.
    """

    def __init__(self, given: str) -> None:
        self._render = _compiled(_template_text(given))

    async def opening(self, messages: Sequence[Message]) -> str:
        """Raises UsageError when the template refuses the conversation."""
        turns = [message._asdict() for message in messages]
        return self._render(turns)


class LlamaTemplate:
    """The model's own template, rendered by llama.cpp's server."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def opening(self, messages: Sequence[Message]) -> str:
        """Raises RequestError where the server has no such endpoint."""
        body: JsonObject = {"messages": _turns(messages), "chat_template_kwargs": PINNED}
        answer = await self._http.post("/apply-template", body)
        return _read(_Rendered, answer).prompt


class VllmTemplate:
    """The model's own template, rendered and tokenised by vLLM's server."""

    def __init__(self, http: HttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def opening(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Raises RequestError where the server has no such endpoint."""
        turns: JsonObject = {"messages": _turns(messages), "add_generation_prompt": True}
        body = {"model": self._model, **turns, "chat_template_kwargs": PINNED}
        tokens = _read(_Tokenised, await self._http.post("/tokenize", body)).tokens
        if not tokens:  # llama.cpp's endpoint of the same name knows no messages
            raise RequestError("/tokenize does not render messages")
        return tokens


class Tokenizer:
    """The server's tokenizer; one body serves vLLM and llama.cpp, which name the text apart."""

    def __init__(self, http: HttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def ids(self, text: str, *, opening: bool = False) -> tuple[int, ...]:
        """The ids of `text`; an `opening` gets the tokenizer's first token, and its marks count.

        Raises RequestError where the server has no such endpoint.
        """
        vllm = {"model": self._model, "prompt": text, "add_special_tokens": opening}
        llama = {"content": text, "add_special": opening, "parse_special": opening}
        return _read(_Tokenised, await self._http.post("/tokenize", {**vllm, **llama})).tokens


class _Rendered(BaseModel):
    prompt: str


class _Tokenised(BaseModel):
    tokens: tuple[int, ...]


def _read(kind: type[Answer], answer: JsonObject) -> Answer:
    try:
        return kind.model_validate(answer)
    except ValidationError as invalid:
        place = ".".join(str(part) for part in invalid.errors()[0]["loc"])
        raise RequestError(f"the answer has no usable `{place}`") from invalid


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [dict(message._asdict()) for message in messages]


def _template_text(given: str) -> str:
    if "{" in given:
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"chat template {given!r}: {failure.strerror}") from failure


def _compiled(text: str) -> Callable[[list[dict[str, str]]], str]:
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as missing:
        raise MissingExtraError("jinja2, which renders chat templates,", "templates") from missing

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    try:
        template = environment.from_string(text)
    except TemplateError as failure:
        raise UsageError(f"the chat template cannot be read: {failure}") from failure

    def refuse(message: str) -> None:
        raise UsageError(f"the chat template refuses the conversation: {message}")

    def render(messages: list[dict[str, str]]) -> str:
        names = {**PINNED, "bos_token": "", "eos_token": "", "raise_exception": refuse}
        try:
            return str(template.render(messages=messages, add_generation_prompt=True, **names))
        except TemplateError as failure:
            raise UsageError(f"the chat template cannot be rendered: {failure}") from failure

    return render
