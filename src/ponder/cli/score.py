"""`ponder score`: another verifier's scores for the candidates of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.terminal import errors, interruptible, output, print_json
from ponder.cli.words import knobs, parts_of
from ponder.errors import PonderError, UsageError
from ponder.evals.rescore import Rescored, rescore
from ponder.evals.score_many import Scorer
from ponder.evals.stored_mix import Part, mix_stored
from ponder.evals.study import reopened
from ponder.evals.throughput import throughput
from ponder.recipes.registry import verifier_of
from ponder.report.counting import CountingProgress
from ponder.report.wording import unparsable
from ponder.verifiers.base import Verifier


def score(
    run: Annotated[Path, typer.Argument(help="A run directory, an imported pool's too.")],
    verifier: Annotated[
        str | None, typer.Option(help="A verifier's name, or module:function.")
    ] = None,
    verifier_knob: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE of the verifier, repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the scores; by default the verifier's name.")
    ] = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=WEIGHT: mix scores that are there, instead of --verifier; repeatable. "
            "NAME:mean=WEIGHT takes one number a solution."
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Of --mix: below 1 it sharpens the scores for voting.")
    ] = 1.0,
    separator: Annotated[
        str | None, typer.Option(help="Ends a step; by default as in the run, or a blank line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was scored.")] = False,
) -> None:
    """Add a verifier's scores to the candidates that a run holds; nothing is sampled again.

    The same command goes on where it stopped. `ponder report RUN --score NAME` ranks by them.

    Example: ponder score runs/sample --verifier arithmetic --name sums
    Example: ponder score runs/sample --mix sums=1 --mix confidence:mean=2 --name both
    """
    if (verifier is None) == (not mix):
        raise UsageError("give either --verifier or --mix NAME=WEIGHT")
    if verifier is None:
        if verifier_knob or separator is not None:
            raise UsageError("--verifier-knob and --separator are for --verifier, not for --mix")
        _mix(run, parts_of(mix or ()), name or "mix", temperature, as_json=as_json)
        return
    if temperature != 1:
        raise UsageError(f"--temperature {temperature:g} is for --mix")
    scorer = verifier_of(verifier, knobs(verifier_knob or ()))
    called = name or scorer.info.name
    found = interruptible(lambda stop: _score(run, scorer, called, separator, stop))
    _check_scored(run, found)
    if as_json:
        counts = {"candidates": found.candidates, "kept": found.kept, "added": found.added}
        named = {"run": str(run), "name": called, "verifier": scorer.info.identity}
        print_json({**named, **counts, "failed": found.failed, **throughput(found.pace)})
    else:
        output().print(_line(run, called, found), markup=False, soft_wrap=True)


def _mix(run: Path, parts: Sequence[Part], name: str, temperature: float, *, as_json: bool) -> None:
    with reopened(run) as store:
        found = mix_stored(store, parts, name, temperature)
    if found.failed == found.candidates:
        raise PonderError(f"{run}: no candidate could be mixed: {found.reason}")
    if as_json:
        print_json({"run": str(run), "name": name, **found._asdict()})
        return
    failed = f", {found.failed} failed: {found.reason}" if found.failed else ""
    line = f"{run}: {found.candidates - found.failed} candidates mixed as {name}{failed}"
    output().print(line, markup=False, soft_wrap=True)


async def _score(
    run: Path, verifier: Verifier, name: str, separator: str | None, stop: asyncio.Event
) -> Rescored:
    try:
        with reopened(run) as store, CountingProgress(errors(), name, "candidates") as watch:
            return await rescore(store, Scorer(verifier, watch, stop), name, separator=separator)
    finally:
        await verifier.aclose()


def _line(run: Path, name: str, found: Rescored) -> str:
    before = f", {found.kept} were there" if found.kept else ""
    failed = f", {found.failed} failed: {found.reason}" if found.failed else ""
    counted = found.pace.counted
    read = f", {told}" if (told := unparsable(counted.critiques, counted.unparsable)) else ""
    return f"{run}: {found.added} candidates scored as {name}{before}{failed}{read}"


def _check_scored(run: Path, found: Rescored) -> None:
    """Fail if the scoring was stopped before its end, or if nothing could be scored."""
    if found.left:
        done = found.candidates - found.left
        raise PonderError(
            f"{run}: {done} of {found.candidates} candidates are done; the same command goes on"
        )
    if found.failed and not found.added and not found.kept:
        raise PonderError(f"{run}: no candidate could be scored: {found.reason}")
