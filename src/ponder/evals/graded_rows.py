"""The grading of a file of rows, as the command line prints it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ponder.encoding import readable_json
from ponder.errors import UsageError
from ponder.evals.grading import NO_PARAMS, Comparison, Grader, check_params

Row = dict[str, object]


class GradedRows(NamedTuple):
    """The rows as they came, each with its grade, and what they add up to."""

    rows: list[Row]
    """With `equal`, and `failed` where a row could not be decided."""
    summary: dict[str, float]
    """`rows`, `correct`, `failed`, `seconds`."""

    def lines(self) -> Iterator[str]:
        """One JSON object a row, and the summary's at the end."""
        for row in self.rows:
            yield readable_json(row)
        yield json.dumps({"summary": self.summary})


async def grade_rows(path: Path, grader: Grader) -> GradedRows:
    """Grade a JSONL file of rows with `gold`, `pred` and optionally `params`; order kept.

    Raises UsageError naming the line of a row that cannot be used, before anything is graded.
    """
    start = time.monotonic()
    rows = read_rows(path)
    verdicts = await grader.grade_many([comparison for _, comparison in rows])
    graded = [
        {**row, "equal": verdict.equal} | ({"failed": verdict.failed} if verdict.failed else {})
        for (row, _), verdict in zip(rows, verdicts, strict=True)
    ]
    summary = {
        "rows": len(graded),
        "correct": sum(verdict.equal for verdict in verdicts),
        "failed": sum(verdict.failed is not None for verdict in verdicts),
        "seconds": round(time.monotonic() - start, 3),
    }
    return GradedRows(graded, summary)


def read_rows(path: Path) -> Sequence[tuple[Row, Comparison]]:
    """The rows of a JSONL file, and what each compares; blank lines are left out.

    Raises UsageError for a file without a row, or a row that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not text.strip():
        raise UsageError(f"{path} is empty: it needs at least one row")
    lines = enumerate(text.split("\n"), start=1)
    return [_row(f"{path}:{number}", line) for number, line in lines if line.strip()]


def _row(place: str, line: str) -> tuple[Row, Comparison]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # not JSON, too long a number, too deep
        reason = getattr(error, "msg", str(error))
        raise UsageError(f"{place}: not JSON: {reason}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}: a row must be an object with `gold` and `pred`")
    params = row.get("params")
    if params is not None and not isinstance(params, dict):
        raise UsageError(f"{place}: `params` must be an object, got {params!r}")
    try:
        check_params(params or NO_PARAMS)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
    gold, pred = (_side(place, row, name) for name in ("gold", "pred"))
    return row, Comparison(gold, pred, params or NO_PARAMS)


def _side(place: str, row: Row, name: str) -> str:
    """The text of one side; a number is read as it is written."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{place}: `{name}` must be a string or a number, got {value!r}")
    return str(value)
