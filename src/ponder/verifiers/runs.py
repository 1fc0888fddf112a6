"""The stretches of arithmetic within one side of an equation, and the words around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ponder.verifiers.expressions import Expression, evaluate
from ponder.verifiers.lexer import Token

MAX_UNIT_WORDS: Final = 6
"""Words between a number and the operator or sign that follows it."""


class Run(NamedTuple):
    """One stretch: an operand, or operands joined by operators."""

    expression: Expression | None
    """None: it cannot be evaluated."""
    units: frozenset[str]
    """Words and currency at its numbers, without a plural s."""
    start: int
    end: int
    opens: bool
    """Nothing stands before it in its side."""
    closes: bool
    """Nothing but a few unit words stands after it."""


def runs_of(side: Sequence[Token]) -> Iterator[Run]:
    """The side's runs of arithmetic, from left to right."""
    run: _Builder | None = None
    last: Token | None = None
    for token in _matched(side):
        counted = run is not None and len(run.words) == 2 and run.words[1] == "of"
        if run is not None and run.ends_before(token):
            yield run.build(closes=False)
            run = None
        if run is None and token.kind not in ("word", "break"):
            run = _Builder(opens=last is None)
            if last is not None and (counted or _belongs_to(last, token)):
                run.add(last._replace(kind="variable"))
        if run is not None:
            run.add(token)
        last = token
    if run is not None:
        yield run.build(closes=True)


def _matched(side: Sequence[Token]) -> list[Token]:
    """The side with each parenthesis that has no partner turned into a break."""
    tokens = list(side)
    open_at: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "open":
            open_at.append(index)
        elif token.kind == "close" and open_at:
            open_at.pop()
        elif token.kind == "close":
            tokens[index] = token._replace(kind="break")
    for index in open_at:
        tokens[index] = tokens[index]._replace(kind="break")
    return tokens


def _belongs_to(word: Token, token: Token) -> bool:
    """`token` goes on from a word: an operand in words, or a function's argument."""
    called = token.kind == "open" and word.end == token.start
    return word.kind == "word" and (token.kind == "operator" or called)


class _Builder:
    """Gathers one run, with the unit words in it."""

    def __init__(self, opens: bool) -> None:
        self.tokens: list[Token] = []
        self.words: list[str] = []
        self.units: set[str] = set()
        self.opens = opens
        self.part_of_unknown = False

    def ends_before(self, token: Token) -> bool:
        """`token` is no part of it: a break, or a number that words lead to."""
        goes_on = token.kind in ("word", "operator", "close", "percent")
        too_far = token.kind != "word" and len(self.words) > MAX_UNIT_WORDS
        return token.kind == "break" or bool(self.words and (too_far or not goes_on))

    def add(self, token: Token) -> None:
        """Take the next token of arithmetic, its unit, or a word."""
        if token.kind == "unit":
            self.units.add(token.text)
        elif token.kind == "word":
            self._add_word(token)
        else:
            self._settle_words()
            self.tokens.append(token)

    def _add_word(self, word: Token) -> None:
        """A word after an operand is its unit; after an operator, an unknown operand.

        But "60 miles/hour" does not divide, and in "1/2 of the cards" the whole is unknown.
        """
        last = self.tokens[-1]
        if last.text in ("/", "of") and len(self.tokens) > 1:
            self.tokens.pop()
            self.part_of_unknown = last.text == "of"
            self.words.append(word.text)
        elif last.kind in ("operator", "sign", "open"):
            self.tokens.append(word._replace(kind="variable"))
        elif word.text == "of" and not self.words and self._is_share():
            self.tokens.append(word._replace(kind="operator"))
        else:
            self.words.append(word.text)

    def _is_share(self) -> bool:
        fraction = len(self.tokens) > 1 and self.tokens[-2].text == "/"
        return fraction or self.tokens[-1].kind in ("percent", "close", "variable")

    def build(self, closes: bool) -> Run:
        """The run as it stands."""
        closes = closes and len(self.words) <= MAX_UNIT_WORDS and not self.part_of_unknown
        self._settle_words()
        start, end = self.tokens[0].start, self.tokens[-1].end
        units = frozenset(self.units)
        return Run(evaluate(self.tokens), units, start, end, self.opens, closes)

    def _settle_words(self) -> None:
        self.units.update(word.removesuffix("s") for word in self.words[:2])
        self.words = []
