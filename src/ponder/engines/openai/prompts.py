"""Hands over a prefix, one class for each mode: as token ids, as text, or as messages."""

from __future__ import annotations

from typing import Protocol

from ponder.engines.openai.requests import Prompt
from ponder.engines.openai.templates import Template, Tokenizer
from ponder.engines.openings import Openings
from ponder.engines.prefix_ids import has_foreign_ids, prefix_ids
from ponder.types import Message, Prefix


class Prompts(Protocol):
    """Turns prefixes into prompts."""

    async def render(self, prefix: Prefix) -> Prompt:
        """The prompt that goes on with `prefix`. Raises PonderError where it cannot be made."""
        ...


class ChatPrompts:
    """Messages, the steps as a last turn that the server goes on with."""

    async def render(self, prefix: Prefix) -> Prompt:
        """The conversation as it is."""
        return Prompt.of_messages(
            prefix.messages, prefix.text, retokenised=has_foreign_ids(prefix, None)
        )


class TextPrompts:
    """Text: the conversation rendered by a template, then the steps' text."""

    def __init__(self, template: Template, openings_kept: int) -> None:
        self._openings = Openings(template.opening, openings_kept)

    async def render(self, prefix: Prefix) -> Prompt:
        """The server tokenises the whole of it."""
        opening = await self._openings.of(prefix.messages)
        assert isinstance(opening, str), "a template that gives ids goes with IdPrompts"
        text = opening + prefix.text
        return Prompt.of_text(text, retokenised=has_foreign_ids(prefix, None))


class IdPrompts:
    """Token ids: those that the server itself drew stay as they are."""

    def __init__(
        self, template: Template, tokenizer: Tokenizer, fingerprint: str, openings_kept: int
    ) -> None:
        self._openings = Openings(self._opening, openings_kept)
        self._template = template
        self._tokenizer = tokenizer
        self._fingerprint = fingerprint

    async def render(self, prefix: Prefix) -> Prompt:
        """Steps without ids of this tokenizer are tokenised, each by itself."""
        opening = await self._openings.of(prefix.messages)
        found = await prefix_ids(opening, prefix, self._fingerprint, self._tokenizer.ids)
        return Prompt.of_ids(found.ids, retokenised=found.retokenised)

    async def _opening(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        opening = await self._template.opening(messages)
        if isinstance(opening, str):
            return await self._tokenizer.ids(opening, opening=True)
        return opening
