"""A question and its steps as the text that a family of reward models reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from ponder.backends.checkpoint_text import PINNED
from ponder.errors import VerifierError
from ponder.verifiers.reward_family import Family, Input

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = tuple[str, str]
"""Role and content."""


class RewardLayout:
    """Writes text for one checkpoint; raises VerifierError for what its tokenizer cannot write.

    The text ends with the last step's marker, whatever the chat template puts after it: a causal
    model's score there does not depend on what follows. Only a score of the whole solution is read
    at the very end of the conversation.
    """

    def __init__(self, family: Family, tokenizer: PreTrainedTokenizerBase, who: str) -> None:
        self.input = filled_in(family.input, tokenizer)
        self._family = family
        self._tokenizer = tokenizer
        self._who = who
        self._lock = Lock()
        self._numbered = _number_pattern(self.input.numbering)
        self.head = lru_cache(1024)(self._head)
        if self.input.layout != "text":
            self._check_template()

    def text(self, question: str, steps: Sequence[str]) -> str:
        """The whole input; a family that scores solutions gets one step, the solution."""
        if self.input.layout == "dialogue":
            return self._dialogue(question, steps)
        written = (self.step(number, step) for number, step in enumerate(steps, 1))
        content = "".join(f"{step}{self.input.marker}" for step in written)
        if self.input.layout == "chat" and self._family.scores == "solution":
            return self._rendered([*self._turns(question), ("assistant", content)])
        return self.head(question) + content

    def step(self, number: int, text: str) -> str:
        """A step with its number, and with what stands between it and the step before."""
        between = self.input.between if number > 1 else ""
        if self.input.numbering and not self._numbered.match(text):
            return between + self.input.numbering.replace("{number}", str(number)) + text
        return between + text

    def _head(self, question: str) -> str:
        """The text before the first step."""
        if self.input.layout == "text":
            return self.input.opening.replace("{question}", question)
        return self._rendered(self._turns(question), answered=False)

    def _turns(self, question: str) -> list[Turn]:
        opening = self.input.opening.replace("{question}", question)
        system = [("system", self.input.system)] if self.input.system else []
        return [*system, ("user", opening)]

    def _dialogue(self, question: str, steps: Sequence[str]) -> str:
        turns = self._turns(question)
        turns[-1] = ("user", turns[-1][1] + self.step(1, steps[0]))
        for number, step in enumerate(steps[1:], 2):
            turns += [("assistant", self.input.marker), ("user", self.step(number, step))]
        return self._rendered(turns, answered=False) + self.input.marker

    def _rendered(self, turns: Sequence[Turn], *, answered: bool = True) -> str:
        """The conversation in the checkpoint's template, or up to where the assistant begins."""
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            with self._lock:
                text = self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=not answered, **PINNED
                )
        except Exception as error:  # noqa: BLE001  (a template is a program of its author's)
            line = next(iter(str(error).splitlines()), type(error).__name__)
            raise VerifierError(f"{self._who} cannot write the conversation: {line}") from None
        return str(text)

    def _check_template(self) -> None:
        """Where the assistant begins must be where its words are once it has answered.

        A family that scores solutions reads none that has only begun.
        """
        turns, said = self._turns("1"), self.input.marker or "1"
        answered = self._rendered([*turns, ("assistant", said)])
        if self._family.scores == "solution":
            return
        begun = self._rendered(turns, answered=False)
        if not answered.startswith(begun + said):
            raise VerifierError(
                f"{self._who} has a chat template that writes an answer in another way than it "
                f"begins one, which the family {self._family.name} cannot read"
            )


def filled_in(written: Input, tokenizer: PreTrainedTokenizerBase) -> Input:
    """The family's texts with `{bos}` and the like replaced by the tokenizer's special tokens."""
    texts = {key: getattr(written, key) for key in ("opening", "system", "between", "marker")}
    for name in ("bos", "eos", "pad"):
        token = getattr(tokenizer, f"{name}_token")
        for key, text in texts.items():
            if f"{{{name}}}" in text and token is None:
                raise VerifierError(
                    f"the family's `{key}` holds {{{name}}}, and the tokenizer has no {name} "
                    "token: write the token itself in a family of your own"
                )
            texts[key] = text.replace(f"{{{name}}}", token or "")
    return written.model_copy(update=texts)


def _number_pattern(numbering: str) -> re.Pattern[str]:
    """What a step begins with that has its number already."""
    before, _, after = numbering.rstrip().partition("{number}")
    return re.compile(rf"\s*{re.escape(before)}\d+{re.escape(after)}")
