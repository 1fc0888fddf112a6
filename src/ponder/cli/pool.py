"""`ponder import pool` and `ponder export pool`: candidates from elsewhere, and for elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.answers.registry import answer_kind
from ponder.cli.terminal import output, print_json, working
from ponder.errors import UsageError
from ponder.evals.pool_runs import export_pool, keep_pool

Kind = Annotated[Literal["pool"], typer.Argument(help="What to bring in or out: pool.")]


def import_(
    kind: Kind,  # noqa: ARG001  checked by the parser
    file: Annotated[Path, typer.Argument(help="Candidates, one problem a JSON line.")],
    folder: Annotated[Path | None, typer.Option("-o", help="The run directory.")] = None,
    answer: Annotated[str, typer.Option(help="What an answer is: math, choice or text.")] = "math",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was imported.")] = False,
) -> None:
    """Keep a candidate pool as a run, for `ponder report` and all that reads runs.

    Example: ponder import pool candidates.jsonl -o runs/pool
    """
    if folder is None:
        raise UsageError("no run directory: give `-o RUN`")
    with working("reading answers"):
        count = asyncio.run(_import(file, folder, answer))
    if as_json:
        print_json({"problems": count, "run": str(folder)})
    else:
        output().print(f"{count} problems into {folder}", markup=False, soft_wrap=True)


async def _import(file: Path, folder: Path, answer: str) -> int:
    answers = answer_kind(answer)
    try:
        return await keep_pool(file, folder, answers)
    finally:
        await asyncio.to_thread(answers.close)


def export(
    kind: Kind,  # noqa: ARG001  checked by the parser
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    file: Annotated[Path | None, typer.Option("-o", help="By default pool.jsonl in RUN.")] = None,
    score: Annotated[str | None, typer.Option(help="The scores that become `score`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was exported.")] = False,
) -> None:
    """Write a run's candidates as a pool, with scores, grades and token counts.

    Example: ponder export pool runs/sample -o candidates.jsonl
    """
    target = file or run / "pool.jsonl"
    count = export_pool(run, target, score)
    if as_json:
        print_json({"problems": count, "pool": str(target)})
    else:
        output().print(f"{count} problems into {target}", markup=False, soft_wrap=True)
