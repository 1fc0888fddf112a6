"""Answers that are a letter: multiple choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ponder.answers.extraction import boxed, last_line, stated, tagged
from ponder.answers.keys import text_key
from ponder.errors import UsageError
from ponder.types import Answer, Problem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_STYLING = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\b|[{}$*()\[\]\s]+")
_NAMED = re.compile(
    r"\b(?:option|choice|choose|select|pick)\b[\s:*_($\[]*(?:is\b[\s:*_($\[]*)?([A-Za-z])\b(?!['’])",
    re.IGNORECASE,
)
_MARK = re.compile(r"\s*[).:,;\]-]")
_LONGEST = 200
"""Characters of an answer in which its letter is looked for."""


def lettered(choices: Sequence[str]) -> str:
    """The choices, one a line, each after its letter."""
    return "\n".join(
        f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False)
    )


class ChoiceAnswers:
    """One letter out of `letters`; case, brackets and styling do not count.

    Made for a problem with choices, its letters are as many as these, and the text of a choice
    stands for its letter.
    """

    name = "choice"

    def __init__(self, letters: str = "ABCDEFGHIJ", choices: Sequence[str] = ()) -> None:
        if not letters.isalpha():
            raise UsageError(f"`letters` must be letters such as ABCD, got {letters!r}")
        self._letters = frozenset(letters.upper())
        self._by_text = _by_text(choices)

    def for_problem(self, problem: Problem) -> ChoiceAnswers:
        """The kind that knows this problem's choices."""
        choices = problem.choices
        return ChoiceAnswers(LETTERS[: len(choices)], choices) if choices else self

    def extract(self, text: str) -> str | None:
        """The letter in the last answer tag, box or statement, else the option that is named last.

        Else the last line, if it holds the letter or the text of a choice and nothing more.
        """
        for found in (tagged(text), boxed(text), stated(text)):
            letter = None if found is None else self._letter(found)
            if letter is not None:
                return letter
        return self._named(text) or self._alone(text)

    async def parse(self, raw: str) -> Answer:
        """The upper-case letter is the key; anything else groups as text."""
        return Answer(raw, self._letter(raw) or text_key(raw))

    def close(self) -> None:
        """Nothing to free."""

    def _letter(self, raw: str) -> str | None:
        """The letter of the choice that `raw` is, or that it begins with: "(C)", "C) 12"."""
        same = self._by_text.get(text_key(raw))
        if same is not None:
            return same
        plain = _STYLING.sub(" ", raw[:_LONGEST]).strip()
        first, rest = plain[:1].upper(), plain[1:]
        if first not in self._letters or rest[:1].isalnum() or rest[:1] in ("'", "’"):
            return None
        word = plain[:1].islower() and rest and not _marked(raw, plain[:1])
        return None if word else first

    def _named(self, text: str) -> str | None:
        """The last of "option C", "choose (C)", "the correct choice is C"."""
        letters = (self._one(found.group(1)) for found in _NAMED.finditer(text))
        return _last(letter for letter in letters if letter is not None)

    def _one(self, letter: str) -> str | None:
        """A lower-case letter may be a word."""
        return letter if letter in self._letters else None

    def _alone(self, text: str) -> str | None:
        """What the last line consists of; a text of one line may go on after the letter's mark."""
        line = last_line(text)
        same = self._by_text.get(text_key(line))
        if same is not None:
            return same
        plain = _STYLING.sub(" ", line[:_LONGEST]).strip()
        letter = plain[:1].upper() if plain[:1].upper() in self._letters else None
        rest = plain[1:].strip(" .:)")
        whole = "\n" not in text and len(line) <= _LONGEST and _marked(line, plain[:1])
        return letter if not rest or whole else None


def _marked(raw: str, letter: str) -> bool:
    """Whether a mark follows the first place of `letter`: "a) 12", "(a) 12"."""
    return _MARK.match(raw, raw.find(letter) + 1) is not None


def _by_text(choices: Sequence[str]) -> Mapping[str, str]:
    """The letter of each choice by its text's key.

    Left out: a text that two choices have, and a letter, which names the choice at its own place.
    """
    keys = [text_key(choice) for choice in choices]
    letters = {text_key(letter) for letter in LETTERS}
    named = zip(keys, LETTERS, strict=False)
    return {key: letter for key, letter in named if keys.count(key) == 1 and key not in letters}


def _last(letters: Iterator[str]) -> str | None:
    found = None
    for found in letters:  # noqa: B007 - the last one is read after the loop
        pass
    return found
