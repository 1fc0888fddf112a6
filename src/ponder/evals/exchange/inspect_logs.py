"""Logs of Inspect (`.eval`, a zip of samples; or `.json`) as rows of a pool.

A sample's epochs are its candidates. What a pool has no place for is kept beside it, without the
transcript: events, messages, attachments and the store stay in the log.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ponder.errors import UsageError
from ponder.evals.exchange.remainder import Json
from ponder.evals.rows import Row, as_rows, checked, first_line

_ATTACHMENT = "attachment://"
_REASONS = {"max_tokens": "length", "model_length": "length"}
"""Inspect's stop reasons by the pool's word; others are the same or are kept."""
_VERDICTS: Mapping[object, bool] = {"C": True, "I": False, "N": False, 1: True, 0: False}
"""What a score's value says: correct, incorrect, no answer; true and false equal 1 and 0."""
_TRANSCRIPT = frozenset(
    {"messages", "events", "events_data", "timelines", "attachments", "store", "output"}
)
_OF_PROBLEM = frozenset({"id", "input", "target", "choices", "metadata"})


class _Part(BaseModel):
    """Something of a log, which has further keys."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class InspectMessage(_Part):
    """A chat turn; parts of the content that are no text are passed over."""

    content: str | list[dict[str, Any]]
    role: str = ""


class InspectChoice(_Part):
    """One answer of the model."""

    message: InspectMessage
    stop_reason: str | None = None


class InspectUsage(_Part):
    """What the answers cost together."""

    output_tokens: int | None = None


class InspectOutput(_Part):
    """The model's last output."""

    choices: list[InspectChoice] = []
    usage: InspectUsage | None = None


class InspectScore(_Part):
    """What one scorer said."""

    value: Any = None
    answer: str | None = None


class InspectSample(_Part):
    """One epoch of one sample."""

    id: int | str
    epoch: int = 1
    input: str | list[InspectMessage]
    target: str | list[str]
    choices: list[str] | None = None
    output: InspectOutput = InspectOutput()
    scores: dict[str, InspectScore] | None = None
    attachments: dict[str, str] = {}
    error: Any = None

    @property
    def failed(self) -> bool:
        """The epoch ended without an answer of the model."""
        return self.error is not None or not self.output.choices

    def text(self, message: InspectMessage) -> str:
        """A message's text, attachments put back in."""
        content = message.content
        texts = [content] if isinstance(content, str) else [p.get("text", "") for p in content]
        return "".join(self._attached(str(text)) for text in texts)

    def _attached(self, text: str) -> str:
        named = text.removeprefix(_ATTACHMENT)
        return text if named == text else self.attachments.get(named, text)


def inspect_rows(path: Path) -> list[Row]:
    """The samples of a log; raises UsageError in one line for what is none."""
    name = path.name.lower()
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if not name.endswith((".eval", ".json")):
        raise UsageError(f"{path} is no Inspect log: those are .eval and .json files")
    try:
        rows = list(_zipped(path)) if name.endswith(".eval") else _listed(path)
    except NotImplementedError as error:  # zstd, which Python's zipfile knows from 3.14 on
        raise UsageError(
            f"{path} cannot be read ({first_line(error)}): write it anew with "
            "`inspect log convert --to json`"
        ) from error
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise UsageError(f"{path} is no Inspect log: {first_line(error)}") from error
    if not rows:
        raise UsageError(f"{path} holds no samples: was it written with `--no-log-samples`?")
    return rows


def _zipped(path: Path) -> Iterator[Row]:
    with zipfile.ZipFile(path) as log:
        for name in log.namelist():
            if name.startswith("samples/") and name.endswith(".json"):
                (row,) = as_rows(f"{path}, {name}", [_json(log.read(name))])
                yield Row(f"{path}, {name}", row.values)


def _listed(path: Path) -> list[Row]:
    content = _json(path.read_bytes())
    samples = content.get("samples") if isinstance(content, dict) else None
    return as_rows(f"{path}, sample", samples if isinstance(samples, list) else [])


def _json(content: bytes) -> object:
    value: object = json.loads(content, parse_constant=lambda _: None)  # NaN is a missing number
    return value


def inspect_pool(rows: Sequence[Row], grades: str | None) -> tuple[list[Row], str | None]:
    """The samples as a pool's rows, and the scorer whose grades they have.

    `grades` names the scorer; by default the first. A score of correct, incorrect, true, false, 1
    or 0 is a grade. Raises UsageError in one line for what cannot be used.
    """
    samples = [(row, checked(row, InspectSample)) for row in rows]
    scorers = list(dict.fromkeys(name for _, sample in samples for name in sample.scores or ()))
    chosen = next(iter(scorers), None) if grades is None else grades
    if grades is not None and grades not in scorers:
        known = ", ".join(scorers) or "there are none"
        raise UsageError(f"no sample has a score called {grades!r} (known: {known})")
    by_id: dict[str, list[tuple[Row, InspectSample]]] = {}
    for row, sample in sorted(samples, key=lambda one: _place(one[1])):
        by_id.setdefault(str(sample.id), []).append((row, sample))
    return [_problem(epochs, chosen) for epochs in by_id.values()], chosen


def _place(sample: InspectSample) -> tuple[str, int]:
    """Samples in Inspect's own order: numbers by value, texts by text, then by epoch."""
    return str(sample.id).zfill(20), sample.epoch


def _problem(epochs: Sequence[tuple[Row, InspectSample]], scorer: str | None) -> Row:
    row, sample = epochs[0]
    targets = [sample.target] if isinstance(sample.target, str) else sample.target
    kept = {key: row.values[key] for key in ("metadata",) if row.values.get(key)}
    if len(targets) != 1:
        kept["target"] = sample.target
    problem = {
        "id": sample.id,
        "problem": _question(sample),
        # Grading takes one reference; a sample that accepts several has Inspect's grades only.
        "answer": targets[0] if len(targets) == 1 else None,
        **({"choices": sample.choices} if sample.choices else {}),
        "candidates": [one for epoch in epochs for one in _candidates(*epoch, scorer)],
        **({"inspect": kept} if kept else {}),
    }
    return Row(row.where, problem)


def _question(sample: InspectSample) -> str:
    """The input, or what its last user turn says."""
    if isinstance(sample.input, str):
        return sample.input
    said = [sample.text(message) for message in sample.input if message.role == "user"]
    return said[-1] if said else ""


def _candidates(row: Row, sample: InspectSample, scorer: str | None) -> Iterator[Json]:
    """The epoch's answers; one without any is a candidate of no text.

    An epoch that failed and has no score is wrong, unless nothing in the log is graded.
    """
    kept = {k: v for k, v in row.values.items() if k not in _TRANSCRIPT | _OF_PROBLEM}
    score = (sample.scores or {}).get(scorer or "")
    choices = sample.output.choices or [
        InspectChoice(message=InspectMessage(content=""), stop_reason="error")
    ]
    usage = sample.output.usage
    for index, choice in enumerate(choices):
        reason = choice.stop_reason
        candidate: Json = {"text": sample.text(choice.message), "inspect": kept}
        if reason is not None:
            candidate["finish_reason"] = _REASONS.get(reason, reason)
        if usage is not None and usage.output_tokens is not None and len(choices) == 1:
            candidate["completion_tokens"] = usage.output_tokens
        yield candidate | _judged(sample, score if index == 0 else None, scorer)


def _judged(sample: InspectSample, score: InspectScore | None, scorer: str | None) -> Json:
    if score is not None:
        return _graded(score)
    return {"correct": False} if scorer is not None and sample.failed else {}


def _graded(score: InspectScore) -> Json:
    """What a scorer said of the first choice: its answer, and whether that is right."""
    graded: Json = {} if score.answer is None else {"answer": score.answer}
    known = isinstance(score.value, str | int | float) and score.value in _VERDICTS
    return graded | {"correct": _VERDICTS[score.value]} if known else graded
