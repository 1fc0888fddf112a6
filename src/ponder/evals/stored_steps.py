"""The steps of stored candidates, as verifiers read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from ponder.errors import UsageError
from ponder.search.steps import DEFAULT_SEPARATOR, split
from ponder.session.calls import unpack_completion
from ponder.store.reading import RunReader
from ponder.trace import Node, Trace
from ponder.types import Candidate, Completion, NodePath, Prefix, Problem

Known = Mapping[tuple[NodePath, str], Completion]
"""A problem's recorded samples by path and text."""


def run_separator(run: RunReader) -> str:
    """What ended a step in the run; a blank line where it does not say."""
    study = cast("Mapping[str, Mapping[str, object]]", run.recipe()["study"])
    return str(study.get("sampling", {}).get("separator", DEFAULT_SEPARATOR))


def check_questions(source: Path, problems: Iterable[Problem]) -> None:
    """Raise UsageError where candidates came without the questions that they answer."""
    missing = [not problem.question.strip() for problem in problems]
    if any(missing):
        told = "no questions" if all(missing) else f"{sum(missing)} problems without a question"
        again = "again " if source.is_dir() else ""
        raise UsageError(f"{source} holds {told}: import it {again}with `--dataset`")


def candidate_prefixes(
    run: RunReader,
    problem: Problem,
    trace: Trace,
    candidates: Sequence[Candidate],
    separator: str,
) -> tuple[Prefix, ...]:
    """The candidates' steps, cut at `separator` as a session cuts them.

    Token ids and log-probabilities come with them where the run's call log has them.
    """
    known = _recorded(run, problem.id)
    nodes = {node.path: node for node in trace.nodes}
    return tuple(
        _prefix(problem, _way(nodes, candidate.path), known, separator) for candidate in candidates
    )


def _recorded(run: RunReader, problem_id: str) -> Known:
    """Finished samples from the call log, which is freed from memory again."""
    samples = {}
    for key, record in run.log.load(problem_id).items():
        if key.kind == "sample" and not record.failed:
            completion = unpack_completion(record, 0)
            samples[key.path, completion.text] = completion
    run.log.forget(problem_id, run.log.appended(problem_id))
    return samples


def _way(nodes: Mapping[NodePath, Node], path: NodePath) -> list[Node]:
    """The nodes that make up a candidate's text, from the first on."""
    way = [nodes[path]]
    while way[-1].parent:
        way.append(nodes[way[-1].parent])
    return way[::-1]


def _prefix(problem: Problem, way: Sequence[Node], known: Known, separator: str) -> Prefix:
    prefix = Prefix.root(problem)
    for node in way:
        bare = Completion(0, node.text, node.ended)
        for step in split(known.get((node.path, node.text), bare), separator):
            prefix = prefix.grow(step)
    return prefix
