"""The conversations that a judge has: its prompt files, filled with a problem and a solution."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from ponder.errors import UsageError
from ponder.prompts import PLACEHOLDER, Prompt, load_prompt
from ponder.types import Message
from ponder.verifiers.judge_verdicts import numbered
from ponder.verifiers.remote_connection import sendable

Style = Literal["verdict", "forced", "critic"]
SOLUTION: Final = "{solution}"

_SHIPPED: Final = files("ponder.prompts") / "judge"
_FILES: Final[dict[Style, str]] = {
    "verdict": "verdict.txt",
    "forced": "verdict.txt",
    "critic": "critic.txt",
}


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """What a judge of one style is asked."""

    style: Style
    prompt: Prompt

    @classmethod
    def load(cls, style: Style, path: str | None) -> JudgePrompt:
        """The style's own prompt, or the one in the file `path`.

        Raises UsageError for an unknown style, or a file whose last turn lacks {solution}.
        """
        if style not in _FILES:
            raise UsageError(f"`style` must be one of {', '.join(_FILES)}, got {style!r}")
        prompt = load_prompt(Path(str(_SHIPPED / _FILES[style])) if path is None else path)
        if SOLUTION not in prompt.turns[-1].content:
            raise UsageError(f"the last turn of prompt {path!r} must hold {SOLUTION}")
        return cls(style, prompt)

    @property
    def digest(self) -> str:
        """Changes with the prompt's text."""
        content = "\0".join(turn.role + turn.content for turn in self.prompt.turns)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def turns(self, question: str, steps: Sequence[str]) -> list[dict[str, str]]:
        """The conversation about these steps: numbered paragraphs for a critic."""
        solution = numbered(steps) if self.style == "critic" else "\n\n".join(steps)
        return [self._filled(turn, question, solution) for turn in self.prompt.turns]

    def _filled(self, turn: Message, question: str, solution: str) -> dict[str, str]:
        # Parts between placeholders are filled one by one: a question may hold {solution}.
        parts = (part.replace(PLACEHOLDER, question) for part in turn.content.split(SOLUTION))
        return {"role": turn.role, "content": sendable(solution.join(parts))}
