"""`ponder merge`: one study that was run on several machines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.exchange.merge import ALL_GRADES, merge_runs


def merge(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of one study.")],
    folder: Annotated[Path | None, typer.Option("-o", help="The new run directory.")] = None,
    grades: Annotated[
        Literal["imported", "ours"] | None, typer.Option(help="Keep these alone; by default both.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was merged.")] = False,
) -> None:
    """Make one run of several of the same study over different problems.

    Example: ponder merge runs/machine-a runs/machine-b -o runs/all
    """
    if folder is None:
        raise UsageError("no run directory: give `-o RUN`")
    with working("merging"):
        merged = asyncio.run(merge_runs(runs, folder, ALL_GRADES if grades is None else (grades,)))
    if as_json:
        print_json({**merged._asdict(), "run": str(folder)})
        return
    line = f"{merged.problems} problems, {merged.finished} of them finished, into {folder}"
    output().print(line, markup=False, soft_wrap=True)
