r"""Cuts prose with arithmetic in it into tokens: numbers, operators, signs of equality, words.

One regular expression without nested repetition reads the text once, so the time is linear in its
length whatever it holds. What a reader takes as multiplication (`×`, `\times`, the x in `6 x 7`)
becomes `*`. What cannot be evaluated (`\pi`, a lone letter, "dozen") becomes a `variable`, so that
nothing is claimed about an expression that holds one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "number", "operator", "sign", "open", "close", "equals", "percent", "word", "variable", "unit",
    "break",
]  # fmt: skip


class Token(NamedTuple):
    """A piece of the text."""

    kind: Kind
    text: str
    """Words in lower case; operators as one of `+ - * / ^`; equality as `=` or `≈`."""
    start: int
    end: int
    value: Fraction = Fraction(0)
    """Of a number."""
    decimals: int = 0
    """Digits that a number shows after its point."""


MAX_DIGITS: Final = 40
"""Characters of one number; a longer one is a variable."""

_PLAIN: Final = (
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[dt]?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}"), r" ((\1)/(\2)) "),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]*)\}"), r" \1 "),
)

_TOKEN: Final = re.compile(
    r"""
      (?P<gap>(?:\s|\\\\)+)
    | (?P<label>\b(?i:step|part|case|question|example|day|week)\s?\#?[0-9]+\b)
    | (?P<ordinal>[0-9]+(?:st|nd|rd|th)\b)
    | (?P<number>[0-9]{1,4}[ ][0-9]{1,4}/[1-9][0-9]{0,3}(?![0-9/])
        | (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?
        | \.[0-9]+ | [½⅓⅔¼¾⅕⅛])
    | (?P<by>(?:[xX](?=[ ]?\\?[$(]?[0-9.])|(?i:times)(?=\ \\?[$(]?[0-9.])))
    | (?P<raised>[²³])
    | (?P<word>(?i:divided\ by|multiplied\ by|is\ equal\ to|equal\ to)\b
        | [^\W\d_]\w*(?:['’]\w+|-[^\W\d_]{2,})*)
    | (?P<order>[<>!]=|=>|->|<<|>>)
    | (?P<equals>==?|[≈≅])
    | (?P<bold>\*\*)
    | (?P<sign>(?<=\s)[-−](?=\$?[0-9.]))
    | (?P<operator>[-+*/^÷×·∙⋅−–])
    | (?P<percent>\\?%)
    | (?P<price>\\?[$€£¥](?=[0-9])(?![0-9]+(?:st|nd|rd|th)\b))
    | (?P<cent>¢)
    | (?P<command>\\[a-zA-Z]+|_(?=\{))
    | (?P<thin>\\[,!;:\ ()]|\\?[$€£¥]|[&`_~])
    | (?P<open>[({])
    | (?P<close>[)}])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_OPERATORS: Final = {
    "÷": "/", "×": "*", "·": "*", "∙": "*", "⋅": "*", "−": "-", "–": "-",
    "plus": "+", "minus": "-", "divided by": "/", "multiplied by": "*",
    "\\times": "*", "\\cdot": "*", "\\div": "/",
}  # fmt: skip
_EQUALS: Final = {
    "equals": "=", "is equal to": "=", "equal to": "=", "==": "=", "=": "=",
    "≈": "≈", "≅": "≈", "\\approx": "≈",
}  # fmt: skip
_SILENT: Final = frozenset({"\\left", "\\right", "\\boxed", "\\quad", "\\displaystyle"})
_UNKNOWN_FACTORS: Final = frozenset({
    "half", "third", "quarter", "twice", "thrice", "double", "triple", "dozen", "hundred",
    "thousand", "million",
})  # fmt: skip
"""Words that scale what stands beside them: read as units they would misjudge the sum."""
_LINKS: Final = frozenset({
    "and", "is", "are", "was", "were", "so", "because", "since", "but", "if", "when", "then",
    "therefore",
})  # fmt: skip
"""Words that end what was stated before them."""
_ATTACHED_UNITS: Final = frozenset({
    "mm", "cm", "km", "ml", "kg", "lb", "lbs", "oz", "ft", "in", "sec", "min", "hr", "hrs", "mph",
})  # fmt: skip
_VULGAR: Final = {
    "½": Fraction(1, 2), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3), "¼": Fraction(1, 4),
    "¾": Fraction(3, 4), "⅕": Fraction(1, 5), "⅛": Fraction(1, 8),
}  # fmt: skip
_ENDS_OPERAND: Final = frozenset({"number", "close", "percent"})


def plain(text: str) -> str:
    """`text` with LaTeX fractions and text commands written plainly."""
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text


def tokenise(text: str) -> list[Token]:
    """Every token of `plain` text in order; spaces and marks without meaning are left out."""
    tokens: list[Token] = []
    line_start = True
    for match in _TOKEN.finditer(text):
        group = match.lastgroup or "other"
        bullet = line_start and group == "operator" and text[match.end() :][:1] == " "
        if bullet:
            tokens.append(Token("break", match.group(), *match.span()))
        else:
            tokens.extend(_READERS.get(group, _break)(match, tokens[-1] if tokens else None))
        opens_line = group == "label" or (group == "gap" and _breaks_line(match.group()))
        line_start = opens_line or (group == "gap" and line_start)
    return tokens


def _breaks_line(gap: str) -> bool:
    return "\n" in gap or "\\\\" in gap


def _gap(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    """A new line ends what was stated, unless it goes on with a sign of equality."""
    after = match.string[match.end() : match.end() + 3].lstrip("& ")
    if _breaks_line(match.group()) and not after.startswith(("=", "≈")):
        yield Token("break", "\n", *match.span())


def _number(match: re.Match[str], last: Token | None) -> Iterator[Token]:
    text, span = match.group(), match.span()
    part_of_name = last is not None and last.end == span[0] and last.kind in ("word", "variable")
    if part_of_name or len(text) > MAX_DIGITS:
        yield Token("variable", text[:MAX_DIGITS], *span)
    else:
        yield Token("number", text, *span, _value(text), len(text.partition(".")[2]))


def _value(text: str) -> Fraction:
    """The exact value of digits, a vulgar fraction, or a mixed number such as `2 1/2`."""
    if text in _VULGAR:
        return _VULGAR[text]
    return sum(map(Fraction, text.replace(",", "").split()), Fraction(0))


def _word(match: re.Match[str], last: Token | None) -> Iterator[Token]:
    word, span = " ".join(match.group().lower().split()), match.span()
    if word in _UNKNOWN_FACTORS or _names(match.group(), span[0], last):
        yield Token("variable", word, *span)
    elif word in _OPERATORS:
        yield Token("operator", _OPERATORS[word], *span)
    elif word in _EQUALS:
        yield Token("equals", _EQUALS[word], *span)
    elif word == "percent":
        yield Token("percent", "%", *span)
    else:
        yield Token("break" if word in _LINKS else "word", word, *span)


def _names(word: str, start: int, last: Token | None) -> bool:
    """A letter, two in capitals, or what touches its factor and is no unit: "3x", "AB", "2pq"."""
    if last is not None and last.end == start and last.kind in _ENDS_OPERAND:
        return word[0].isupper() or (len(word) < 4 and word not in _ATTACHED_UNITS)
    return word not in ("a", "A", "I") and (len(word) == 1 or (len(word) < 4 and word.isupper()))


def _command(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    text, span = match.group(), match.span()
    if text in _OPERATORS:
        yield Token("operator", _OPERATORS[text], *span)
    elif text in _EQUALS:
        yield Token("equals", _EQUALS[text], *span)
    elif text not in _SILENT:
        yield Token("variable", text, *span)


def _operator(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    yield Token("operator", _OPERATORS.get(match.group(), match.group()), *match.span())


def _sign(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    """A minus that touches its number only: a negative number where words stand before it."""
    yield Token("sign", "-", *match.span())


def _by(match: re.Match[str], last: Token | None) -> Iterator[Token]:
    """An x or "times" before a number: multiplication after an operand, else a name."""
    apart = match.string[match.start() - 1 : match.start()] == " "
    after = last is not None and (last.kind in _ENDS_OPERAND or (apart and last.kind == "word"))
    yield Token("operator" if after else "variable", "*" if after else "x", *match.span())


def _bold(match: re.Match[str], last: Token | None) -> Iterator[Token]:
    """Two asterisks: a power between two operands, else Markdown's bold type."""
    before, after = (match.string[i : i + 1] for i in (match.start() - 1, match.end()))
    evenly_spaced = (before == " ") == (after == " ")
    goes_on = re.match(r"[ ]?[-(]?[0-9]", match.string[match.end() : match.end() + 3])
    if last is not None and last.kind in _ENDS_OPERAND and evenly_spaced and goes_on:
        yield Token("operator", "^", *match.span())


def _raised(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    start, end = match.span()
    yield Token("operator", "^", start, start)
    yield Token("number", match.group(), start, end, Fraction("²³".index(match.group()) + 2))


def _price(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    """A currency sign before its number; any other dollar sign is LaTeX's and silent."""
    yield Token("unit", "dollar", *match.span())


def _as(kind: Kind) -> Callable[[re.Match[str], Token | None], Iterator[Token]]:
    def read(match: re.Match[str], _last: Token | None) -> Iterator[Token]:
        text = _EQUALS.get(match.group(), match.group())
        yield Token(kind, text, *match.span())

    return read


def _silent(_match: re.Match[str], _last: Token | None) -> Iterator[Token]:
    return iter(())


_break: Final = _as("break")
_READERS: Final = {
    "gap": _gap, "number": _number, "word": _word, "ordinal": _as("word"), "by": _by,
    "equals": _as("equals"), "bold": _bold, "operator": _operator, "sign": _sign, "raised": _raised,
    "percent": _as("percent"), "price": _price, "cent": _as("word"), "command": _command,
    "thin": _silent, "open": _as("open"), "close": _as("close"),
}  # fmt: skip
