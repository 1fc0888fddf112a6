"""Answers that are a letter: multiple choice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ponder.answers.extraction import boxed, last_line, stated, tagged
from ponder.answers.keys import text_key
from ponder.errors import UsageError
from ponder.types import Answer, Problem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER_KEYS = frozenset(map(text_key, LETTERS))

_STYLING = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\b|[{}$*()\[\]\s]+")
_NAMED = re.compile(
    r"\b(?:option|choice|choose|select|pick)\b[\s:*_($\[]*(?:is\b[\s:*_($\[]*)?([A-Za-z])\b(?!['’])",
    re.IGNORECASE,
)
_MARK = re.compile(r"\s*[).:,;\]-]")
_APOSTROPHES = ("'", "’")
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
        plain = _plain(raw)
        first, rest = plain[:1], plain[1:]
        if same is not None or first.upper() not in self._letters:
            return same
        word = rest[:1].isalnum() or rest[:1] in _APOSTROPHES
        # A lower-case letter before other words is "a metre", unless a mark follows: "a) 1 m".
        word = word or (first.islower() and rest != "" and not _marked(raw, first))
        return None if word else first.upper()

    def _named(self, text: str) -> str | None:
        """The last of "option C", "choose (C)", "the correct choice is C"; lower case is a word."""
        named = None
        for found in _NAMED.finditer(text):
            named = found.group(1) if found.group(1) in self._letters else named
        return named

    def _alone(self, text: str) -> str | None:
        """What the last line consists of; a text of one line may go on after the letter's mark."""
        line = last_line(text)
        first, rest = _plain(line)[:1], _plain(line)[1:]
        alone = not rest.strip(" .:") or ("\n" not in text and _marked(line, first))
        return self._letter(line) if alone else self._by_text.get(text_key(line))


def _plain(raw: str) -> str:
    """The beginning of `raw` without styling and brackets."""
    return _STYLING.sub(" ", raw[:_LONGEST]).strip()


def _marked(raw: str, letter: str) -> bool:
    """Whether a mark follows the first place of `letter`: "a) 12", "(a) 12"."""
    return _MARK.match(raw, raw.find(letter) + 1) is not None


def _by_text(choices: Sequence[str]) -> Mapping[str, str]:
    """The letter of each choice by its text's key.

    Left out: a text that two choices have, and a letter, which names the choice at its own place.
    """
    keys = [text_key(choice) for choice in choices]
    named = zip(keys, LETTERS, strict=False)
    return {
        key: letter for key, letter in named if keys.count(key) == 1 and key not in _LETTER_KEYS
    }
