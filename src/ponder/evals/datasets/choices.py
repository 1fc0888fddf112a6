"""Multiple choice: what a row offers, in which order, and which of it is right."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ponder.answers.choice import LETTERS
from ponder.errors import UsageError
from ponder.evals.datasets.columns import filled_parts, parts_of, plain, values_of
from ponder.evals.rows import Row


class Offered(NamedTuple):
    """The choices of one problem."""

    texts: tuple[str, ...]
    right: int
    """The place of the right one, from 0."""

    @property
    def letter(self) -> str:
        """Of the right one."""
        return LETTERS[self.right]

    def shuffled(self, id: str) -> Offered:
        """The same in an order that the problem's id alone decides, on every machine."""
        seed = hashlib.sha256(f"choices of {id}".encode()).digest()
        order = list(range(len(self.texts)))
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
        return Offered(tuple(self.texts[place] for place in order), order.index(self.right))


def offered(row: Row, choices: str, answer: str) -> Offered:
    """The choices in a row's column, or columns, and the right one by the column `answer`.

    Choices are a list, or a table of `text` and `label`. The answer is a label, a letter, a
    choice's text, or as a number the place from 0; or its column is that of the right choice.
    Raises UsageError for anything else.
    """
    texts, labels = _choices(row, choices)
    given, columns = row.values[answer], filled_parts(row, choices)
    among = answer in columns and len(columns) > 1
    found = columns.index(answer) if among else _place(given, texts, labels)
    if found is None or not found < len(texts):
        raise UsageError(
            f"{row.where}: `{answer}` names none of the {len(texts)} choices, got {given!r}: "
            f"give a letter up to {labels[-1]}, a choice's text, or a number from 0"
        )
    return Offered(texts, found)


def _choices(row: Row, name: str) -> tuple[tuple[str, ...], list[str]]:
    """The texts and their labels, which are letters unless the row says otherwise."""
    columns, values = filled_parts(row, name), values_of(row, name)
    if columns != parts_of(name)[: len(columns)]:
        empty = next(part for part in parts_of(name) if part not in columns)
        raise UsageError(f"{row.where}: the choice `{empty}` is empty, and one after it is not")
    listed = values if len(parts_of(name)) > 1 else values[0]
    table = listed if isinstance(listed, Mapping) else {"text": listed}
    texts, labels = _texts(table.get("text")), _texts(table.get("label", list(LETTERS)))
    if not 2 <= len(texts) <= len(LETTERS) or len(labels) < len(texts):
        raise UsageError(
            f"{row.where}: `{name}` must be a list of 2 to {len(LETTERS)} texts, "
            f"got {_short(listed)}"
        )
    return texts, list(labels[: len(texts)])


def _texts(values: object) -> tuple[str, ...]:
    """The texts of a list of scalars; none if it is anything else, or one of them is empty."""
    if not isinstance(values, list):
        return ()
    texts = [(plain(value) or "").strip() for value in values]
    return tuple(texts) if all(texts) else ()


def _place(given: object, texts: Sequence[str], labels: Sequence[str]) -> int | None:
    """The place of the right choice; None if `given` names none."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return int(given) if given >= 0 and float(given).is_integer() else None
    if not isinstance(given, str):
        return None
    for names in (labels, [label.casefold() for label in labels], texts):
        if given.strip() in names:
            return names.index(given.strip())
    return int(given) if given.strip().isdecimal() else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
