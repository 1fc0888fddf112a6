"""`ponder demo`: every method on the same problems, a table and a page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.options import AsJson, named_folder
from ponder.cli.report import numbers_of, show_tables
from ponder.cli.terminal import announce, errors, interruptible, output, print_json
from ponder.evals.demo import HEAD, SAMPLED, DemoMethod, methods, run_demo
from ponder.recipes import Recipe
from ponder.report.page import write_page
from ponder.report.progress import MethodsProgress
from ponder.report.views import LoadedRun, load_run, reselected
from ponder.verifiers.value_head import ValueHeadVerifier

TITLE = "What a small model gains from thinking longer"


def demo(
    folder: Annotated[
        Path,
        typer.Option(
            "-o",
            help="Where the runs and the page go.",
            parser=named_folder,
            metavar="PATH",
        ),
    ] = Path("ponder-demo"),
    as_json: AsJson = False,
) -> None:
    """Let a 135M model solve word problems in nine ways, for at most about three minutes.

    Greedy decoding, majority, best of N, weighted voting, beam search, diverse verifier tree
    search and self-refinement, on the same problems, n = 8; best of N and weighted voting by coded
    arithmetic and by a trained head. The same command again goes on with more problems.

    Example: ponder demo -o my-demo
    """
    chosen = methods(Recipe.shipped("grade-school"), folder)
    interruptible(lambda stop: _run(chosen, stop))
    found = views(chosen)
    page = folder / "report.html"
    write_page(page, TITLE, [run.view for run in found])
    if as_json:
        print_json(numbers_of(found))
        return
    show_tables(found, _title(found))
    output().print(str(page), markup=False, soft_wrap=True)


async def _run(chosen: list[DemoMethod], stop: asyncio.Event) -> None:
    with MethodsProgress(errors()) as progress:
        head = ValueHeadVerifier()
        try:
            await run_demo(chosen, announce, progress.method, stop, head=head)
        finally:
            await head.aclose()


def views(chosen: list[DemoMethod]) -> list[LoadedRun]:
    """A row of the table each: the sampled run serves three selectors."""
    found: list[LoadedRun] = []
    for method in chosen:
        name = method.name.replace("_", " ")
        loaded = load_run(method.plan.folder, name, greedy=method.name == "greedy")
        if method.name == SAMPLED:
            shown = {"majority": "majority", "best of N": "best_of_n", "weighted": "weighted"}
            found += [reselected(loaded, label, selector) for label, selector in shown.items()]
            found += _by_head(method.plan.folder, loaded)
        else:
            found.append(loaded)
    return found


def _by_head(folder: Path, sampled: LoadedRun) -> list[LoadedRun]:
    """The samples again, chosen among by the trained head, if it has scored them."""
    if HEAD not in sampled.view.ranges:
        return []
    ranked = load_run(folder, score=HEAD, aggregation="last")
    if "best_of_n" not in ranked.view.summary.curves:  # it was stopped before it had scored all
        return []
    shown = {"best of N": "best_of_n", "weighted": "weighted"}
    return [
        reselected(ranked, f"{label}, {HEAD}", selector, HEAD) for label, selector in shown.items()
    ]


def _title(found: list[LoadedRun]) -> str:
    problems = min(len(run.view.traces) for run in found)
    return f"{problems} problems, n = 8"
