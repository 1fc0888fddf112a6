"""`ponder run`: one strategy over one data set, into a run directory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.named_keys import check_named
from ponder.cli.options import Price, RunFolder
from ponder.cli.plan import show_plan
from ponder.cli.report import present
from ponder.cli.terminal import announce, errors, interruptible
from ponder.cli.words import given, ids_of, numbers, pairs, prices_of, swept, with_keys
from ponder.errors import PonderError, UsageError
from ponder.evals.limits import SpendingLimit
from ponder.evals.planning import PILOT
from ponder.evals.study import Plan, plans, run_plans
from ponder.recipes import Recipe
from ponder.report.progress import MethodsProgress
from ponder.runner import RunObserver, all_failed, unscored, why_unscored
from ponder.store.reading import RunReader, holds_run
from ponder.trace import Trace


def run(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe; the options below replace its values.")
    ] = None,
    folder: RunFolder = None,
    engine: Annotated[str | None, typer.Option(help="embedded, openai, vllm or scripted.")] = None,
    model: Annotated[str | None, typer.Option(help="A file, a folder or a name.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="sample, beam_search, dvts, self_refine or compute_optimal."),
    ] = None,
    n: Annotated[int | None, typer.Option(help="Samples, beams or chains.")] = None,
    verifier: Annotated[
        str | None, typer.Option(help="A verifier's name, or module:function.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A file, or a data set's name.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first K problems.")] = None,
    ids: Annotated[str | None, typer.Option(help="Only these problems: ID,ID,...")] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="ours=theirs: problem=question.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt's name, or a file.")] = None,
    seed: Annotated[int | None, typer.Option(help="The run's seed.")] = None,
    seeds: Annotated[int, typer.Option(help="So many runs, seeds counting up.", min=1)] = 1,
    sweep: Annotated[list[str] | None, typer.Option(help="A run a value: n=4,16.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy decoding.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of one solution.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="KIND=NUMBER, repeatable; see below.")
    ] = None,
    equal_tokens: Annotated[
        str | None, typer.Option(help="A run: each problem's budget is what it spent there.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Of the engine openai's server.")] = None,
    price: Price = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Stop when the run has cost this, at the prices.")
    ] = None,
    max_tokens_total: Annotated[
        int | None, typer.Option(help="Stop when the run has spent so many tokens.")
    ] = None,
    plan: Annotated[
        bool, typer.Option(help="Solve 8 problems, and say what all will take.")
    ] = False,
    plan_from: Annotated[
        Path | None, typer.Option(help="Solve none: say what all will take as in this run.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other recipe key: knobs.beam_width=2.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run a strategy over a data set; the same command again goes on where it stopped.

    Budget kinds: generations, generated_tokens, total_tokens, seconds.
    Price kinds: prompt, cached, generated, verifier.

    Example: ponder run --dataset grade-school-report --prompt grade-school --n 8 -o runs/sample
    """
    if folder is None:
        raise UsageError("no run directory: give `-o RUN`")
    study = {
        "engine": engine,
        "model": model,
        "strategy": strategy,
        "n": n,
        "verifier": verifier,
        "dataset": dataset,
        "limit": limit,
        "ids": ids_of(ids),
        "map": pairs(map_ or (), "--map") or None,
        "prompt": prompt,
        "seed": seed,
        "equal_tokens": equal_tokens,
        "budget": numbers(budget or (), "--budget") or None,
        "sampling": given({"temperature": temperature, "max_tokens": max_tokens}) or None,
    }
    host = {"base_url": base_url, "prices": prices_of(price or ()) or None}
    asked = Recipe.load(recipe) if recipe else Recipe()
    asked = with_keys(asked.changed(given(study), given(host)), set_ or ())
    spending = SpendingLimit(max_tokens_total, max_cost, asked.host.prices)
    planned = plans(asked, folder, swept(sweep or ()), seeds)
    options = {**given(study), "host": given(host)}
    check_named(options, set_ or (), sweep or (), [plan.recipe for plan in planned])
    if plan or plan_from is not None:
        show_plan(planned, plan_from, lambda: _solve(planned, spending, PILOT), as_json=as_json)
        return
    _solve(planned, spending)
    if begun := [plan.folder for plan in planned if _begun(plan)]:
        present(begun, as_json=as_json)
    _check_finished(planned, spending)


def _solve(planned: Sequence[Plan], limit: SpendingLimit, pilot: int | None = None) -> None:
    interruptible(lambda stop: _run(planned, limit, stop, pilot))


async def _run(
    planned: Sequence[Plan], limit: SpendingLimit, stop: asyncio.Event, pilot: int | None
) -> None:
    limit.stop = stop
    with MethodsProgress(errors()) as progress:

        def watch(plan: Plan, left: int) -> RunObserver:
            with RunReader(plan.folder) as reader:
                return limit.watching(progress.method(plan.folder.name, left), reader.traces())

        await run_plans(planned, announce=announce, watch=watch, stop=stop, gate=limit, pilot=pilot)


def _begun(plan: Plan) -> bool:
    """Its engine was opened; where a sweep names several, a stop comes before the later ones."""
    return holds_run(plan.folder)


def _check_finished(planned: Sequence[Plan], limit: SpendingLimit) -> None:
    """Fail if the run was stopped before its end, or if nothing could be sampled."""
    mend = "the same command goes on"
    if limit.reached is not None:
        mend = f"{limit.reached}; {mend} with a larger limit"
    for plan in planned:
        if not _begun(plan):
            raise PonderError(f"{plan.folder} was not begun; {mend}")
        with RunReader(plan.folder) as reader:
            total, found = len(reader.examples()), reader.traces()
            traces = [trace for trace in found if trace.n == plan.recipe.study.n]
            unread = _unscored(reader, traces)
        if len(traces) < total:
            raise PonderError(
                f"{plan.folder}: {len(traces)} of {total} problems are finished; {mend}"
            )
        if traces and all(all_failed(trace) for trace in traces):
            raise PonderError(f"{plan.folder}: every sample failed: {traces[0].nodes[0].error}")
        if unread:
            reached = "" if limit.reached is None else f" ({limit.reached})"
            told = f"{plan.folder}: {unread}; the same command tries them again{reached}"
            if all(all_failed(trace) or unscored(trace) for trace in traces):
                raise PonderError(told)
            announce(told)


def _unscored(reader: RunReader, traces: Sequence[Trace]) -> str | None:
    """How many problems a verifier could score nothing of, with the first reason."""
    problems = [trace.problem_id for trace in traces if unscored(trace)]
    if not problems:
        return None
    reason = why_unscored(reader.log.load(problems[0]))
    return f"nothing of {len(problems)} of {len(traces)} problems could be scored: {reason}"
