"""Arguments and options that several commands have, each with its help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.errors import UsageError
from ponder.search.selection import Aggregation


def named_folder(text: str | Path) -> Path:
    """A folder to write to; an empty name, which would be the current folder, is refused."""
    if text == "":
        raise UsageError("`-o` takes a folder, got '': name one, as in `-o runs/mine`")
    return Path(text)


RunFolder = Annotated[
    Path | None,
    typer.Option("-o", help="The run directory.", parser=named_folder, metavar="PATH"),
]
Runs = Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Score = Annotated[str | None, typer.Option(help="Rank by these scores.")]
HowAggregated = Annotated[Aggregation | None, typer.Option(help="How step scores become one.")]
WhoseGrades = Annotated[
    Literal["imported", "ours"] | None, typer.Option(help="Whose grades to use.")
]
Price = Annotated[
    list[str] | None, typer.Option(help="KIND=NUMBER for a million tokens; see below.")
]
