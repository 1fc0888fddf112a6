"""`ponder solve`: one question, the search shown as it grows."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from ponder.api import asolve
from ponder.cli.named_keys import check_named
from ponder.cli.terminal import announce, errors, output, print_json
from ponder.cli.words import given, numbers, with_keys
from ponder.errors import PonderError, UsageError
from ponder.recipes import Recipe
from ponder.report.escape import visible
from ponder.report.live import LiveSearch
from ponder.runner import all_failed, unscored
from ponder.store.records import TRACE
from ponder.trace import Trace


def solve(
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    model: Annotated[str | None, typer.Option(help="A GGUF file or an OpenVINO folder.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="sample, beam_search, dvts, self_refine or compute_optimal."),
    ] = None,
    n: Annotated[int | None, typer.Option(help="Samples, beams or chains.")] = None,
    verifier: Annotated[
        str | None, typer.Option(help="A verifier's name, or module:function.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt's name, or a file.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="KIND=NUMBER, repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all samples.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe; options replace its values.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other recipe key: knobs.beam_width=2.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trace as JSON.")] = False,
) -> None:
    """Answer one question by a search, shown live; the answer goes to standard output.

    Example: ponder solve "Kim buys 6 packs of 7 cards and gives 2 away. How many are left?"
    """
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise UsageError("the question is empty")
    base = _base(recipe, model)
    study = given(
        {
            "strategy": strategy,
            "n": n,
            "verifier": verifier,
            "prompt": prompt,
            "model": model,
            "seed": seed,
        }
    )
    asked = with_keys(
        base.changed({**study, "budget": numbers(budget or (), "--budget")}, {}), set_ or ()
    )
    check_named(study, set_ or (), (), [asked])
    trace = _solve(text.strip(), asked)
    if as_json:
        print_json(TRACE.adapter.dump_python(trace, mode="json"))
    else:
        output().print(visible(trace.answer or "no answer"), markup=False, soft_wrap=True)
    if all_failed(trace):
        raise PonderError(f"every sample failed: {trace.nodes[0].error}")
    if unscored(trace):  # as a warning has said
        raise typer.Exit(1)


def _base(recipe: Path | None, model: str | None) -> Recipe:
    if recipe is not None:
        return Recipe.load(recipe)
    return Recipe() if model else Recipe.shipped("grade-school")


def _solve(question: str, recipe: Recipe) -> Trace:
    with LiveSearch(errors()) as live:
        trace = asyncio.run(asolve(question, recipe=recipe, observer=live, announce=announce))
        live.on_problem_done(trace.problem_id, trace)
    return trace
