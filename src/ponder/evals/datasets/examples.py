"""From a row to an example."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ponder.answers.choice import lettered
from ponder.errors import UsageError
from ponder.evals.datasets.choices import offered
from ponder.evals.datasets.columns import (
    COLUMNS,
    Columns,
    filled,
    missing,
    parts_of,
    plain,
    text_of,
)
from ponder.evals.rows import Row
from ponder.types import Example, Message, Problem

_FINAL = re.compile(r"\n(?:####|A:)[ \t]*(\S[^\n]*)\s*$")
"""The line that ends the worked solutions which GSM8K gives as answers."""

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_FORMULA = re.compile(r"\s*\$([^$]+)\$\s*")
"""A formula between dollar signs, as OlympiadBench writes each answer."""


def example_of(row: Row, columns: Columns, *, shuffled: bool = False) -> Example:
    """The row as an example; columns that nothing asks for are kept in `extra`.

    A row without an id gets the hash of its problem. Choices stand below the question, each after
    its letter, and the reference is the letter of the right one.
    """
    found = {key: filled(row, names) for key, names in columns.items()}
    named = {key: name for key, name in found.items() if name is not None}
    for key in ("problem", "answer"):
        if key not in named:
            raise missing(row, key, columns[key])
    question = text_of(row, named["problem"])
    name = text_of(row, named["id"]) if "id" in named else Problem.ask(question).id
    if "choices" in named:
        choices = offered(row, named["choices"], named["answer"])
        choices = choices.shuffled(name) if shuffled else choices
        problem, reference = _asked(question, name, choices.texts), choices.letter
    else:
        problem, reference = Problem.ask(question, name), _answer(row, named["answer"])
    return Example(
        problem=problem,
        reference=reference,
        level=text_of(row, named["level"]) if "level" in named else None,
        subject=text_of(row, named["subject"]) if "subject" in named else None,
        extra=_rest(row, named.values()),
    )


def _asked(question: str, name: str, choices: tuple[str, ...]) -> Problem:
    asked = f"{question}\n\n{lettered(choices)}"
    return Problem((Message("user", asked),), name, asked, choices)


def _rest(row: Row, used: Iterable[str]) -> dict[str, object]:
    """The columns that the example does not give back."""
    known = {*COLUMNS, "candidates", "exchangeable"}
    known |= {part for name in used for part in parts_of(name)}
    return {name: value for name, value in row.values.items() if name not in known}


def _answer(row: Row, name: str) -> str:
    """The answer alone: the end of a worked solution, or a list's items in a row."""
    given = row.values.get(name)
    if not isinstance(given, list):
        return _final(text_of(row, name))
    items = [plain(item) for item in given]
    if not all(items):
        raise UsageError(f"{row.where}: `{name}` must be a list of texts, got {given!r}")
    return ", ".join(_bare(str(item)) for item in items)


def _final(answer: str) -> str:
    """The answer alone, where a worked solution ends in it, without thousands separators."""
    marked = _FINAL.search(answer)
    return _THOUSANDS.sub("", marked[1].strip()) if marked else answer


def _bare(answer: str) -> str:
    """The formulas alone, of an answer that is nothing else: "$1$, $2$" is "1, 2"."""
    formulas = [_FORMULA.fullmatch(part) for part in re.split(r",(?=\s*\$)", answer)]
    inner = [formula[1].strip() for formula in formulas if formula is not None]
    return ", ".join(inner) if len(inner) == len(formulas) else answer
