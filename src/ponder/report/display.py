"""A live display that lasts as long as its context, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console


class Shown(Protocol):
    """What rich draws again and again: its Live and its Progress."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Display:
    """Shows what a subclass sets as `_shown` while the context lasts, if on a terminal."""

    _shown: Shown

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._shown.stop()
