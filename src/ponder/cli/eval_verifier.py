"""`ponder eval-verifier`: how good a verifier is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.options import AsJson
from ponder.cli.terminal import errors, output, print_json, working
from ponder.cli.words import knobs
from ponder.evals.pool_judging import PoolOptions
from ponder.evals.score_many import Scorer
from ponder.evals.verifier_report import VerifierReport, judge
from ponder.evals.verifier_targets import Targets, read_targets
from ponder.recipes.registry import verifier_of
from ponder.report.counting import CountingProgress
from ponder.report.verifier_table import verifier_report
from ponder.search.selection import Aggregation
from ponder.verifiers.base import Verifier


def eval_verifier(
    targets: Annotated[
        list[Path], typer.Argument(help="ProcessBench or PRM800K files, pools, run directories.")
    ],
    verifier: Annotated[str, typer.Option(help="A verifier's name, or module:function.")],
    verifier_knob: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE of the verifier, repeatable.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="From which score on a step is right; by default chosen on gsm8k."),
    ] = None,
    aggregation: Annotated[
        Aggregation | None, typer.Option(help="How step scores become a candidate's.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Ends a candidate's step; by default as in the run.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="K rows spread over a file, the first K problems of a run.", min=1),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a verifier: whether it finds wrong steps, and how well its scores choose answers.

    ProcessBench F1 as its paper defines it, PRM800K step accuracy, and on stored candidates best
    of N and weighted voting at each N beside majority and oracle, with a warning where best of N
    falls as N grows. All with intervals over problems, and with the verifier's speed.

    Example: ponder eval-verifier --verifier arithmetic gsm8k.json math.json runs/sample
    """
    with working("reading"):
        asked = read_targets(targets, limit)
    opened = verifier_of(verifier, knobs(verifier_knob or ()))
    options = PoolOptions(separator, aggregation, limit)
    report = asyncio.run(_judge(opened, asked, threshold, options))
    if as_json:
        print_json(report)
    else:
        output().print(verifier_report(report))


async def _judge(
    verifier: Verifier, targets: Targets, threshold: float | None, options: PoolOptions
) -> VerifierReport:
    try:
        with CountingProgress(errors(), verifier.info.name, "solutions") as watch:
            return await judge(Scorer(verifier, watch), targets, threshold, options)
    finally:
        await verifier.aclose()
