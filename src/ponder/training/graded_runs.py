"""A model's own graded samples: the candidates of finished runs, with their grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import cast

from ponder.errors import UsageError
from ponder.evals.outcomes import outcome_of, which_grades
from ponder.evals.stored_steps import candidate_prefixes, check_questions, run_separator
from ponder.store.reading import Grader, Grades, RunReader
from ponder.trace import Trace
from ponder.training.step_tree import StepTree, step_tree
from ponder.types import Candidate, Example, Prefix


@dataclass(frozen=True, slots=True)
class GradedProblem:
    """One problem of a run, with its candidates cut into steps."""

    example: Example
    trace: Trace
    """Its nodes without text."""
    prefixes: tuple[Prefix, ...]
    """One a candidate, in the trace's order."""
    right: tuple[bool, ...]
    """Whether each candidate ended right."""
    steps: StepTree
    """The distinct steps of all candidates."""

    @property
    def id(self) -> str:
        """The problem's."""
        return self.example.problem.id

    @property
    def counted(self) -> tuple[int, ...]:
        """The candidates whose end says something of their steps: those not cut by a budget."""
        candidates = zip(self.trace.candidates, self.steps.ways, strict=True)
        return tuple(
            number for number, (candidate, way) in enumerate(candidates) if way and candidate.votes
        )


@dataclass(frozen=True, slots=True)
class GradedRun:
    """A run, as a verifier is trained on it."""

    folder: Path
    problems: tuple[GradedProblem, ...]
    grader: Grader
    """Whose grades were used."""
    grades: Grades
    study: Mapping[str, object]
    """Of its recipe."""

    @property
    def source(self) -> str:
        """Where its samples are from, for a person, without the folders of this machine."""
        named = (self.study.get(key) for key in ("dataset", "strategy", "n", "engine", "model"))
        return ", ".join(Path(str(value)).name for value in named if value)


def read_graded(folder: Path, limit: int | None = None) -> GradedRun:
    """The finished problems of the run in `folder` that have a reference, the first `limit`.

    Imported grades are used where every candidate has one, else ours. Raises UsageError for a run
    without grades or questions, StoreError for a folder that holds no run.
    """
    with RunReader(folder) as run:
        graded = (example for example in run.examples() if example.reference is not None)
        examples = {example.problem.id: example for example in graded}
        known = (trace for trace in run.traces() if trace.problem_id in examples)
        traces = list(islice(known, limit))
        check_questions(folder, (examples[trace.problem_id].problem for trace in traces))
        imported = run.grades("imported")
        outcomes = [outcome_of(trace, examples[trace.problem_id]) for trace in traces]
        grader = which_grades(outcomes, imported)
        grades = imported if grader == "imported" else run.grades("ours")
        separator = run_separator(run)
        study = cast("Mapping[str, object]", run.recipe()["study"])
        problems = tuple(
            _problem(run, examples[trace.problem_id], trace, grades, separator) for trace in traces
        )
    if not problems:
        raise UsageError(f"{folder} holds no finished problem with a reference: nothing to learn")
    return GradedRun(folder, problems, grader, grades, study)


def _problem(
    run: RunReader, example: Example, trace: Trace, grades: Grades, separator: str
) -> GradedProblem:
    candidates = trace.candidates
    prefixes = candidate_prefixes(run, example.problem, trace, candidates, separator)
    return GradedProblem(
        example,
        replace(trace, nodes=tuple(replace(n, text="", token_ids=None) for n in trace.nodes)),
        prefixes,
        tuple(_right(run.folder, trace, candidate, grades) for candidate in candidates),
        step_tree(prefixes),
    )


def _right(folder: Path, trace: Trace, candidate: Candidate, grades: Grades) -> bool:
    grade = grades.get((trace.problem_id, candidate.path))
    if grade is None and candidate.answer is not None:
        raise UsageError(
            f"{folder} is not graded (problem {trace.problem_id!r}): "
            f"grade it first: ponder grade {folder}"
        )
    return bool(grade)


def distinct(problems: Sequence[GradedProblem]) -> list[tuple[int, ...]]:
    """Of each problem, its candidates that count, each text of a question once over all."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    chosen = []
    for problem in problems:
        tree, own = problem.steps, []
        for number in problem.counted:
            key = (problem.example.problem.question, tree.paths[tree.ways[number][-1]])
            if key not in seen:
                seen.add(key)
                own.append(number)
        chosen.append(tuple(own))
    return chosen
