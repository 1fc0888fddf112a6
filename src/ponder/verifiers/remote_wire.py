"""What endpoints that score answer, in vLLM's and llama.cpp's layouts."""

from __future__ import annotations

import math
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from ponder.backends.http import JsonObject
from ponder.backends.http_errors import RequestError
from ponder.backends.http_usage import UsageTold, Wire
from ponder.types import Usage

ID_MARK = "token_id:"
"""How vLLM writes a token that was asked for by id."""
NEVER = -9999.0
"""What vLLM writes for minus infinity: the token was barred, its probability is not told."""

Answer = TypeVar("Answer", bound=BaseModel)


class Told(Wire):
    """An answer with its usage, which may be left out."""

    usage: UsageTold | None = None

    @property
    def spent(self) -> Usage:
        """None for each count that is not told."""
        return Usage() if self.usage is None else self.usage.counted


class TokenProbability(Wire):
    """A token and its probability, either of its logarithm or of itself."""

    id: int | None = None
    token: str = ""
    logprob: float | None = None
    prob: float | None = None

    @property
    def log(self) -> float | None:
        """The natural logarithm, -inf for a probability of 0; None where it is not told."""
        if self.logprob is not None:
            return self.logprob if self.logprob > NEVER else None
        if self.prob is None:
            return None
        return math.log(self.prob) if self.prob > 0 else -math.inf


class _Position(Wire):
    top_logprobs: list[TokenProbability] = Field(default_factory=list)
    top_probs: list[TokenProbability] = Field(default_factory=list)


class _Logprobs(Wire):
    content: list[_Position] | None = None
    """Chat, and llama.cpp's completions."""
    top_logprobs: list[dict[str, float] | None] | None = None
    """Completions of all others: from a token's text, or `token_id:7`, to its log-probability."""

    def first(self) -> list[TokenProbability]:
        if self.content:
            return self.content[0].top_probs or self.content[0].top_logprobs
        named = (self.top_logprobs or [None])[0] or {}
        return [_named(token, logprob) for token, logprob in named.items()]


class _Message(Wire):
    content: str | None = None


class _Choice(Wire):
    message: _Message = _Message()
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class Generated(Told):
    """A completion or a chat answer of one choice."""

    choices: list[_Choice] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The message; empty where only reasoning came."""
        return self.choices[0].message.content or ""

    @property
    def cut(self) -> bool:
        """It reached its limit of tokens."""
        return self.choices[0].finish_reason == "length"

    def first_token(self) -> list[TokenProbability]:
        """What is told of the first token's distribution."""
        logprobs = self.choices[0].logprobs
        return logprobs.first() if logprobs else []


class _Class(Wire):
    probs: list[float] = Field(min_length=1)


class Classified(Told):
    """What `/classify` answers."""

    data: list[_Class] = Field(min_length=1, max_length=1)


class _Rows(Wire):
    data: list[list[float]]


class Pooled(Told):
    """What `/pooling` answers: a row of classes a token, or a step."""

    data: list[_Rows] = Field(min_length=1, max_length=1)


def read(kind: type[Answer], answer: JsonObject) -> Answer:
    """The answer checked; raises RequestError naming the field that is wrong or missing."""
    try:
        return kind.model_validate(answer)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"the answer cannot be read: {place}: {first['msg']}") from invalid


def _named(token: str, logprob: float) -> TokenProbability:
    number = token.removeprefix(ID_MARK)
    if number != token and number.isdecimal():
        return TokenProbability(id=int(number), logprob=logprob)
    return TokenProbability(token=token, logprob=logprob)
