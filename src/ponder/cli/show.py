"""`ponder show`: one problem's search as a tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.terminal import output, print_json
from ponder.errors import UsageError
from ponder.report.escape import clipped
from ponder.report.tree import TraceTree
from ponder.report.views import view_of
from ponder.store.reading import RunReader
from ponder.store.records import TRACE


def show(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    problem_id: Annotated[
        str | None, typer.Argument(help="The problem's id; without it, the ids are listed.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Every line of long texts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trace as JSON.")] = False,
) -> None:
    """Draw one problem's search: its steps, their scores, what was pruned, what won and why.

    Example: ponder show ponder-demo/beam_search report-001
    """
    if problem_id is None:
        _list(run, as_json=as_json)
        return
    with RunReader(run) as reader:
        trace = reader.trace(problem_id)
    if as_json:
        print_json(TRACE.adapter.dump_python(trace, mode="json"))
        return
    output().print(TraceTree(view_of(run), trace, full=full))


def _list(run: Path, *, as_json: bool) -> None:
    with RunReader(run) as reader:
        questions = {e.problem.id: e.problem.question for e in reader.examples()}
        finished = reader.finished()
    if not finished:
        raise UsageError(f"{run} has no finished problem yet")
    known = {name: question for name, question in questions.items() if name in finished}
    if as_json:
        print_json(known)
        return
    for name, question in known.items():
        line = clipped(question, 60)
        output().print(f"{name}  {line}", markup=False, overflow="ellipsis", no_wrap=True)
