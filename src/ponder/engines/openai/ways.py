"""The ways to hand prefixes over to a server."""

from __future__ import annotations

from typing import NamedTuple

from ponder.backends.http import HttpClient
from ponder.engines.openai.abilities import Mode, Rendering
from ponder.engines.openai.prompts import ChatPrompts, IdPrompts, Prompts, TextPrompts
from ponder.engines.openai.templates import (
    GivenTemplate,
    LlamaTemplate,
    Template,
    Tokenizer,
    VllmTemplate,
)
from ponder.engines.openings import KEPT


class Way(NamedTuple):
    """A way to hand over prefixes."""

    mode: Mode
    rendering: Rendering
    tokenizer: str | None = None
    """Fingerprint, in mode `ids`."""

    def prompts(
        self, http: HttpClient, model: str, given: str | None, openings_kept: int = KEPT
    ) -> Prompts:
        """What renders prefixes this way; `given` is the caller's own template."""
        if self.mode == "chat":
            return ChatPrompts()
        template = _template(self.rendering, http, model, given)
        if self.mode == "text":
            return TextPrompts(template, openings_kept)
        tokenizer = Tokenizer(http, model)
        return IdPrompts(template, tokenizer, self.tokenizer or "", openings_kept)


def ways(given: str | None) -> list[Way]:
    """Those to try, best first; with a template of the caller's own, only those that use it."""
    if given is not None:
        return [Way("ids", "given"), Way("text", "given")]
    served = [Way("ids", "tokenize"), Way("ids", "apply-template"), Way("text", "apply-template")]
    return [*served, Way("chat", "chat")]


def _template(rendering: Rendering, http: HttpClient, model: str, given: str | None) -> Template:
    if given is not None:
        return GivenTemplate(given)
    return VllmTemplate(http, model) if rendering == "tokenize" else LlamaTemplate(http)
