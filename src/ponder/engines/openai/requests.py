"""Builds request bodies: every sampling parameter is sent, since servers have their own defaults.

vLLM takes what is left out from the model's generation_config, llama.cpp's server cuts at top_k 40
and min_p 0.05: neither is what the caller asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ponder.backends.http import JsonObject
from ponder.errors import UnsupportedError
from ponder.types import Message, Sampling

COMPLETIONS, CHAT = "completions", "chat/completions"
"""Paths under the base URL."""

OPTIONAL = (
    "top_k",
    "min_p",
    "repetition_penalty",
    "repeat_penalty",
    "logprobs",
    "stream_options",
    "timings_per_token",
    "return_token_ids",
)
"""Fields that some servers refuse: each is sent only where it was taken."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be continued, as one endpoint takes it."""

    path: str
    fields: JsonObject
    tokens: int | None = None
    """Its length, where it is known before it is sent."""
    retokenised: bool = False
    """Steps with ids of another tokenizer were handed over as text."""

    @classmethod
    def of_text(cls, text: str, *, retokenised: bool = False) -> Prompt:
        """Rendered text."""
        return cls(COMPLETIONS, {"prompt": text}, None, retokenised)

    @classmethod
    def of_ids(cls, ids: Sequence[int], *, retokenised: bool = False) -> Prompt:
        """Token ids."""
        return cls(COMPLETIONS, {"prompt": list(ids)}, len(ids), retokenised)

    @classmethod
    def of_messages(
        cls, messages: Sequence[Message], answer: str = "", *, retokenised: bool = False
    ) -> Prompt:
        """A conversation, and a partial answer to go on with, if there is one."""
        turns = [message._asdict() for message in messages]
        if not answer:
            return cls(CHAT, {"messages": turns}, None, retokenised)
        turns.append({"role": "assistant", "content": answer})
        going_on = {"add_generation_prompt": False, "continue_final_message": True}
        return cls(CHAT, {"messages": turns, **going_on}, None, retokenised)


def request_body(
    model: str,
    prompt: Prompt,
    sampling: Sampling,
    *,
    seed: int,
    n: int = 1,
    stop: Sequence[str] = (),
    optional: Collection[str] = (),
    stream: bool = True,
) -> JsonObject:
    """The JSON body; `optional` names the fields of `OPTIONAL` that the server takes.

    Raises UnsupportedError when `sampling` needs one that it does not take.
    """
    if sampling.top_k > 0 and "top_k" not in optional:
        raise UnsupportedError(f"the server takes no `top_k`, and {sampling.top_k} was asked for")
    extras = _optional_fields(prompt.path, sampling)
    return {
        "model": model,
        **prompt.fields,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tokens": sampling.limit,
        "seed": seed,
        "n": n,
        **({"stop": list(stop)} if stop else {}),
        "stream": stream,
        **{
            name: value
            for field in optional
            if stream or field != "stream_options"
            for name, value in extras[field].items()
        },
    }


def _optional_fields(path: str, sampling: Sampling) -> dict[str, JsonObject]:
    """What each of `OPTIONAL` stands for at this endpoint."""
    chat_logprobs: JsonObject = {"logprobs": True, "top_logprobs": 1}
    return {
        # -1 is off for every server; 0 is refused by some.
        "top_k": {"top_k": sampling.top_k if sampling.top_k > 0 else -1},
        "min_p": {"min_p": 0.0},
        "repetition_penalty": {"repetition_penalty": 1.0},
        "repeat_penalty": {"repeat_penalty": 1.0},
        "logprobs": chat_logprobs if path == CHAT else {"logprobs": 1},
        "stream_options": {"stream_options": {"include_usage": True}},
        "timings_per_token": {"timings_per_token": True},
        "return_token_ids": {"return_token_ids": True},
    }
