"""Prompts as text files: turns under `### system`, `### user` and `### assistant` lines.

`{problem}` stands for the question and is the only thing replaced, so braces are safe everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, cast

from ponder.errors import UsageError
from ponder.types import Message

PLACEHOLDER: Final = "{problem}"

_HEADING: Final = re.compile(r"^### (system|user|assistant)[ \t]*$\n?", re.MULTILINE)
_SHIPPED: Final = files("ponder.prompts")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to have about any problem."""

    name: str
    turns: tuple[Message, ...]
    """With placeholders; the last is the user's."""

    def render(self, question: str) -> tuple[Message, ...]:
        """The turns with `question` in place of each placeholder."""
        return tuple(
            Message(turn.role, turn.content.replace(PLACEHOLDER, question)) for turn in self.turns
        )


def shipped_prompts() -> tuple[str, ...]:
    """Names of the prompts that come with ponder."""
    names = (entry.name for entry in _SHIPPED.iterdir())
    return tuple(sorted(name.removesuffix(".txt") for name in names if name.endswith(".txt")))


def load_prompt(name_or_path: str | Path) -> Prompt:
    """The prompt of that name, or in that file; raises UsageError for what is neither."""
    name = str(name_or_path)
    if name in shipped_prompts():
        return _parse(name, (_SHIPPED / f"{name}.txt").read_text("utf-8"))
    try:
        return _parse(name, Path(name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(shipped_prompts())
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"unknown prompt {name!r}: name one of {known}, or a text file ({reason})"
        ) from error


def _parse(name: str, text: str) -> Prompt:
    """The turns of a prompt file; raises UsageError for one that asks nothing."""
    before, *parts = _HEADING.split(text)
    if before.strip() or not parts:
        raise UsageError(f"prompt {name!r} must begin with a line `### system` or `### user`")
    roles = cast(list[Literal["system", "user", "assistant"]], parts[::2])
    contents = (content.strip() for content in parts[1::2])
    turns = tuple(map(Message, roles, contents))
    if turns[-1].role != "user":
        raise UsageError(f"prompt {name!r} must end with a `### user` turn")
    if PLACEHOLDER not in turns[-1].content:
        raise UsageError(f"the last turn of prompt {name!r} must hold {PLACEHOLDER}")
    return Prompt(name, turns)
