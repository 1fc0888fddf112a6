r"""What stands around a number and does not count: units, currency, degrees, a percent sign."""

from __future__ import annotations

import re

_DROPPED = re.compile(
    r"\\!|\\,(?=\d{3}(?!\d))|\\\$|\$|\\(?:left|right|displaystyle)\b|\^\s*(?:\\circ|\{\s*\\circ\s*\})|[°€£¥]"
)
_SPACE = re.compile(r"\\[,;: ]|~")
_ASSIGNED = re.compile(r"^\s*[a-zA-Z](?:_(?:\w|\{\w+\}))?\s*=(?!=)\s*")
_PERCENT = re.compile(r"\s*(?:\\?%|\b(?:percent|pct)\b)\s*$")
_TEXT_UNIT = re.compile(
    r"\\(?:text|textbf|textrm|mathrm|mbox)\s*\{([^{}]*)\}\s*(?:\^\s*(?:\d|\{\d\}))?\s*$"
)
_WORD_UNIT = re.compile(
    r"(?:\s|(?<=[\d}]))(?:[a-zA-Z]{3,}|cm|mm|km|kg|mg|ml|ft|lb|oz|yd|mi)\.?\s*(?:\^\s*[23])?$"
)
_SCALE = re.compile(r"\s*\b(hundred|thousand|million|billion|trillion)$")
_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_MEANING = re.compile(
    r"(?:million|billion|trillion|thousand|hundred|dozen|score|pi|inf|infinity|sqrt|cbrt|frac"
    r"|sin|cos|tan|log|exp|mod|and|or|over|times|plus|minus|squared|cubed|half|[ap]\.?m)\.?",
    re.IGNORECASE,
)


def quantity(raw: str) -> tuple[str, int]:
    """The number in `raw` as it is written, and what the word behind it multiplies it by."""
    number = raw.replace("{,}", ",").replace("−", "-")
    number = _SPACE.sub(" ", _DROPPED.sub("", number))
    number = _ASSIGNED.sub("", number).strip()
    shorter = _without_unit(number)
    while shorter != number:
        number, shorter = shorter, _without_unit(shorter)
    number = _PERCENT.sub("", number)
    scale = _SCALE.search(number)
    if scale is None:
        return number, 1
    return number[: scale.start()], _SCALES[scale.group(1)]


def has_meaning(words: str) -> bool:
    """Whether a word among `words` changes the value of the number before it."""
    return any(_MEANING.fullmatch(word) for word in re.findall(r"[a-zA-Z.]+", words))


def _without_unit(number: str) -> str:
    """`number` without the last unit; a word in text that changes its value loses its wrapper."""
    text = _TEXT_UNIT.search(number)
    if text and text.start():
        kept = text.group(1) if has_meaning(text.group(1)) else ""
        return f"{number[: text.start()]} {kept}".strip()
    word = _WORD_UNIT.search(number)
    if word and word.start() and not has_meaning(word.group()):
        return number[: word.start()].strip()
    return number
