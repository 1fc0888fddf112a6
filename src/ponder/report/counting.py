"""One bar that counts: redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ponder.report.display import Display
from ponder.report.escape import clipped

_PLAIN_EVERY = 10.0
"""Seconds between plain lines, beside the last one."""


class CountingProgress(Display):
    """Counts what is done of what is expected. A context."""

    def __init__(
        self,
        console: Console,
        what: str,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(console)
        self._what = clipped(what, 24)
        self._unit = unit
        self._clock = clock
        self._start = self._said = clock()
        self._done = self._total = 0
        columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=28)
        rate = TextColumn("{task.fields[rate]}", style="dim", markup=False)
        self._progress = Progress(*columns, MofNCompleteColumn(), rate, console=console)
        self._shown = self._progress
        self._task = self._progress.add_task(self._what, total=0, rate="")

    def expect(self, count: int) -> None:
        """So many more are to be done."""
        self._total += count
        self._progress.update(self._task, total=self._total)

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = self._clock()
        rate = f"{self._unit} {self._done / max(now - self._start, 1e-3):.1f}/s"
        self._progress.update(self._task, completed=self._done, rate=rate)
        if now - self._said >= _PLAIN_EVERY and not self._console.is_terminal:
            self._said = now
            line = f"{self._what}: {self._done} of {self._total} {rate}"
            self._console.print(Text(line), soft_wrap=True)
