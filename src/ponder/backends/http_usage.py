"""What servers tell of tokens, read leniently: a count that is left out is None and never 0."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ponder.types import Usage


class Wire(BaseModel):
    """A piece of an answer; what is not known of it is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CachedTokens(Wire):
    """Tokens of the prompt that the server read from its cache."""

    cached_tokens: int | None = None


class UsageTold(Wire):
    """The `usage` of an answer."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: CachedTokens | None = None

    @property
    def counted(self) -> Usage:
        """The same in our words."""
        details = self.prompt_tokens_details
        cached = details.cached_tokens if details else None
        return Usage(self.prompt_tokens, cached, self.completion_tokens)
