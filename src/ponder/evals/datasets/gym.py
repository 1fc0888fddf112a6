"""Tasks of reasoning-gym: problems made on the spot, each with a scorer of its own.

Source: Stojanovski et al. 2025, "Reasoning Gym", section 3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import NamedTuple

from ponder.errors import MissingExtraError, UsageError
from ponder.types import Example, Problem

PREFIX = "reasoning-gym:"
SIZE = 100
"""Problems of a task where none is named."""
ANY = "any answer that the task's scorer accepts"
"""The reference of a problem that has many right answers and names none."""
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""Some tasks draw from sets of strings, whose order else differs from process to process."""
_PROCESS = "ponder.evals.datasets.gym_process"
SCORER = f"{_PROCESS}:score"
"""The function that scores an answer; called in a process of its own, with `ENVIRONMENT`."""


class Task(NamedTuple):
    """A task, and how its problems are made."""

    name: str
    size: int = SIZE
    seed: int = 0
    knobs: Mapping[str, object] = {}
    """Of the task's own configuration: how hard its problems are."""

    @classmethod
    def named(cls, dataset: str) -> Task:
        """From "reasoning-gym:TASK:size=50,seed=1,max_terms=3"; raises UsageError if it is not."""
        name, _, rest = dataset.removeprefix(PREFIX).partition(":")
        knobs: dict[str, object] = {}
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals:
                raise UsageError(f"{dataset}: write KEY=VALUE after the task, got {part!r}")
            knobs[key.strip()] = _value(value.strip())
        size, seed = knobs.pop("size", SIZE), knobs.pop("seed", 0)
        if type(size) is not int or size < 1:
            raise UsageError(f"{dataset}: `size` must be a whole number from 1 on, got {size!r}")
        if type(seed) is not int or seed < 0:
            raise UsageError(f"{dataset}: `seed` must be a whole number from 0 on, got {seed!r}")
        return cls(name, size, seed, knobs)


def require_gym() -> None:
    """Raise MissingExtraError unless reasoning-gym is there; it takes long to import."""
    if find_spec("reasoning_gym") is None:
        raise MissingExtraError("reasoning_gym", "gym")


def gym_examples(dataset: str) -> list[Example]:
    """The problems of "reasoning-gym:TASK:size=50,seed=1", made in a process of its own.

    The same name gives the same problems with the same version of the package. `extra` says how
    to make a problem again, which is what its scorer needs. Raises UsageError for a task or a knob
    that the package does not have.
    """
    task = Task.named(dataset)
    require_gym()
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", _PROCESS, json.dumps(task._asdict())],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2] or f"exit {done.returncode}"
        raise UsageError(f"{dataset} cannot be made: {reason}")
    made = enumerate(json.loads(done.stdout))
    return [_example(task, index, question, answer) for index, (question, answer) in made]


def _example(task: Task, index: int, question: str, answer: str | None) -> Example:
    return Example(
        problem=Problem.ask(question, f"{task.name}-{task.seed}-{index}"),
        reference=ANY if answer is None else answer,
        subject=task.name,
        extra={"reasoning_gym": {**task._asdict(), "index": index}},
    )


def _value(text: str) -> object:
    """A number, a list or true as JSON has it; else the text."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value
