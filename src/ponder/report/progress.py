"""Several methods on the same problems, a bar each: redrawn in place, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ponder.report.display import Display
from ponder.report.escape import clipped
from ponder.trace import Decision, Node, Trace
from ponder.types import NodePath

_PLAIN_EVERY = 10.0
"""Seconds between plain lines, beside the one that a finished method gets."""


class MethodsProgress(Display):
    """One bar a method, with the problems done and the samples drawn each second. A context."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console)
        self._clock = clock
        self._said = clock()
        self._methods: dict[str, MethodProgress] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", style="dim", markup=False),
            console=console,
            refresh_per_second=6,
        )
        self._shown = self._progress

    def method(self, name: str, problems: int) -> MethodProgress:
        """The observer of `problems` more problems of a method; a second round grows its bar."""
        if name not in self._methods:
            task = self._progress.add_task(clipped(name, 24), total=0, rate="")
            self._methods[name] = MethodProgress(self, task, self._clock)
        known = self._methods[name]
        known.total += problems
        self._progress.update(known.task, total=known.total)
        return known

    def show(self, method: MethodProgress, *, ended: bool) -> None:
        """Move a method's bar; `ended` when one more of its problems is done."""
        rate = method.rate()
        self._progress.update(method.task, completed=method.done, rate=rate)
        due = method.done == method.total or self._clock() - self._said >= _PLAIN_EVERY
        if ended and due and not self._console.is_terminal:
            self._said = self._clock()
            name = self._progress.tasks[method.task].description
            line = f"{name}: {method.done} of {method.total} problems, {rate}"
            self._console.print(Text(line), soft_wrap=True)


class MethodProgress:
    """An observer of one method's run: counts its events into its bar."""

    def __init__(self, methods: MethodsProgress, task: TaskID, clock: Callable[[], float]) -> None:
        self.task = task
        self.total = 0
        """Problems to solve."""
        self.done = 0
        """Problems solved."""
        self._methods = methods
        self._clock = clock
        self._start = clock()
        self._open: dict[str, set[NodePath]] = {}
        self._samples = 0

    def on_node(self, problem_id: str, node: Node) -> None:
        """A sample ended, or its scores came: it is counted once."""
        paths = self._open.setdefault(problem_id, set())
        self._samples += node.path not in paths
        paths.add(node.path)
        self._methods.show(self, ended=False)

    def on_decision(self, problem_id: str, decision: Decision) -> None:
        """Decisions move no bar."""

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:  # noqa: ARG002
        """One more problem has its trace."""
        self._open.pop(problem_id, None)
        self.done += 1
        self._methods.show(self, ended=True)

    def rate(self) -> str:
        """Samples drawn since the method began, in all and each second."""
        seconds = max(self._clock() - self._start, 1e-3)
        return f"{self._samples} samples, {self._samples / seconds:.1f}/s"
