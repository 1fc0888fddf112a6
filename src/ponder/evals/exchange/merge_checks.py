"""Whether runs are one study over different problems, and what each of them brings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from ponder.errors import RecipeMismatchError, StoreError
from ponder.evals.pools import STRATEGY
from ponder.runner import all_failed
from ponder.store.reading import Grader, Grades, RunReader
from ponder.store.study import Settings, differences
from ponder.types import Example

_WHICH_PROBLEMS = ("ids", "limit")
"""Keys of [study] that may differ: they say which problems a machine had."""

WHICH_CANDIDATES = ("dataset", "sha256", "commit", "revision", "config", "split", "task")
"""The same of imported candidates: parts of one set lie in files of their own."""

_GRADE_MENDS: Mapping[Grader, str] = MappingProxyType(
    {
        "ours": "`ponder grade` both anew",
        "imported": "these grades came with the candidates; leave them out with `--grades ours`, "
        "and `ponder grade` the merged run",
    }
)
"""What helps where two runs' grades contradict each other, by who gave them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The runs, and which of them each finished problem is taken from."""

    runs: Sequence[RunReader]
    examples: dict[str, Example]
    """By problem id, in the runs' order."""
    owners: dict[str, RunReader]


def checked_parts(runs: Sequence[RunReader]) -> Parts:
    """The runs as parts of one; raises the errors that `merge_runs` states."""
    for other in runs[1:]:
        _check_study(runs[0], other)
        _check_models(runs[0], other)
    return Parts(runs, _examples(runs), _owners(runs))


def _check_study(first: RunReader, other: RunReader) -> None:
    found = differences(study_of(first), study_of(other), _may_differ(study_of(first)))
    if found:
        raise RecipeMismatchError(
            f"{first.folder} and {other.folder} are runs of different studies: {'; '.join(found)}"
            " (there: the first)"
        )


def study_of(run: RunReader) -> Settings:
    """What decides the run's results."""
    return cast("Settings", run.recipe()["study"])


def _may_differ(study: Settings) -> Collection[str]:
    return WHICH_CANDIDATES if study.get("strategy") == STRATEGY else _WHICH_PROBLEMS


def _check_models(first: RunReader, other: RunReader) -> None:
    """One name may stand for different weights on different machines."""
    before, now = _identities(first.provenance()), _identities(other.provenance())
    for kind in before.keys() & now.keys():
        if before[kind] != now[kind]:
            raise RecipeMismatchError(
                f"{first.folder} and {other.folder} had different models: {kind} is "
                f"{before[kind]} there, {now[kind]} here"
            )


def _identities(provenance: Settings) -> dict[str, object]:
    """Of the engine, and of each verifier by name, as far as they are told."""
    told = cast("dict[str, Any]", provenance)
    engine = {"engine": told["engine"]["identity"]} if told.get("engine") else {}
    return engine | {one["name"]: one["identity"] for one in told.get("verifiers") or ()}


def _examples(runs: Sequence[RunReader]) -> dict[str, Example]:
    found: dict[str, Example] = {}
    for run in runs:
        for example in run.examples():
            if found.setdefault(example.problem.id, example) != example:
                raise StoreError(
                    f"{run.folder} holds another problem under the id {example.problem.id!r} than "
                    "a run before it: one study has one data set"
                )
    return found


def _owners(runs: Sequence[RunReader]) -> dict[str, RunReader]:
    """For each finished problem the first run that has it; a trace beats one that failed."""
    owners: dict[str, RunReader] = {}
    digests: dict[str, str] = {}
    for run in runs:
        for name, digest in run.digests().items():
            owner = owners.setdefault(name, run)
            if digests.setdefault(name, digest) == digest or all_failed(run.trace(name)):
                continue
            if not all_failed(owner.trace(name)):
                raise StoreError(
                    f"problem {name!r} came out differently in {owner.folder} and {run.folder}: "
                    "merge runs of different problems (`ids`), or leave one out"
                )
            owners[name], digests[name] = run, digest
    return owners


def merged_grades(runs: Sequence[RunReader], grader: Grader) -> Grades:
    """All grades that one grader gave; raises StoreError where the runs contradict each other."""
    found: Grades = {}
    for run in runs:
        for (name, path), right in run.grades(grader).items():
            if found.setdefault((name, path), right) != right:
                raise StoreError(
                    f"{run.folder} grades candidate {path} of problem {name!r} otherwise than a "
                    f"run before it: {_GRADE_MENDS[grader]}"
                )
    return found
