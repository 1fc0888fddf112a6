"""The side of reasoning-gym: makes problems and scores answers, in a process of its own.

Called as a program with a task as JSON, it prints the task's problems: `[question, answer]` each,
or one line on stderr.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import lru_cache
from typing import Any

from ponder.errors import UsageError

_NO_KNOBS = ("size", "seed")


def main(arguments: list[str]) -> int:
    """Print the problems of the task that the first argument describes."""
    task = json.loads(arguments[0])
    try:
        with redirect_stdout(sys.stderr):  # some tasks print while they are made
            entries = [_asked(entry_of(task, index)) for index in range(task["size"])]
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(entries))
    return 0


@lru_cache(maxsize=8)
def made(task: str) -> Any:
    """The package's data set of a task, given as JSON; UsageError for what it does not take."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    asked = json.loads(task)
    name, knobs = asked["name"], asked["knobs"]
    if name not in DATASETS:
        raise UsageError(f"there is no task {name!r}: use one of {', '.join(sorted(DATASETS))}")
    fields = {field.name for field in dataclasses.fields(DATASETS[name][1])}
    unknown = [knob for knob in knobs if knob not in fields]
    if unknown:
        known = ", ".join(sorted(fields.difference(_NO_KNOBS)))
        raise UsageError(f"{name} has no knob {unknown[0]!r}: it has {known}")
    try:
        return reasoning_gym.create_dataset(name, size=asked["size"], seed=asked["seed"], **knobs)
    except (AssertionError, TypeError, ValueError) as error:
        raise UsageError(f"the task refuses its knobs: {error}") from error


def entry_of(task: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """The task's problem at `index`, with all that its scorer looks at.

    A few tasks draw from the module's generator too, which is set here, so that a problem depends
    on its task and index alone.
    """
    name = json.dumps(task)
    random.seed(f"{name} {index}")  # noqa: TID251 - not ours: the package draws from it
    entry: Mapping[str, Any] = made(name)[index]
    return entry


def score(problem: Mapping[str, Any], question: str, answer: str) -> float:
    """What the task's own scorer gives an answer: 1 for a right one, less for part of it.

    `problem` is the task with the problem's `index`. The problem is made again, since what a
    scorer looks at does not survive in a file; raises UsageError if another one comes of it.
    """
    task = {key: value for key, value in problem.items() if key != "index"}
    entry = entry_of(task, problem["index"])
    if entry["question"] != question:
        raise UsageError("this version of reasoning-gym makes another problem: run it anew")
    return float(made(json.dumps(task)).score_answer(answer, entry))


def _asked(problem: Mapping[str, Any]) -> list[str | None]:
    answer = problem["answer"]
    return [str(problem["question"]), None if answer is None else str(answer)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
