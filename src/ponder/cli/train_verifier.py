"""`ponder train-verifier`: a trained value head from a model's own graded samples."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ponder.cli.options import named_folder
from ponder.cli.terminal import announce, errors, interruptible, output, print_json, working
from ponder.errors import PonderError, UsageError
from ponder.report.counting import CountingProgress
from ponder.report.training import training_lines
from ponder.store.files import check_can_be_filled
from ponder.training.base_model import base_model
from ponder.training.graded_runs import GradedRun, read_graded
from ponder.training.label_formats import read_labels
from ponder.training.settings import HeadSettings, TrainingReport
from ponder.training.train import Training
from ponder.verifiers.head_config import Features, Prompt
from ponder.verifiers.reward_opening import DType


def train_verifier(
    runs: Annotated[list[Path], typer.Argument(help="Graded run directories.")],
    folder: Annotated[
        Path | None,
        typer.Option("-o", help="The head's folder.", parser=named_folder, metavar="PATH"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--base",
            help="Whose states are read: a file, a folder or a name on the hub; "
            "by default the runs' own.",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="20 or 16,24, counted from 1; by default at 2/3 of the depth."),
    ] = None,
    features: Annotated[
        Features, typer.Option(help="What is read of a solution at a step's end.")
    ] = "last+mean",
    labels: Annotated[
        str, typer.Option(help="outcome, or a file that `ponder label` wrote.")
    ] = "outcome",
    problems: Annotated[
        int | None, typer.Option(help="Only the first N problems of each of RUNS.", min=1)
    ] = None,
    hard: Annotated[
        bool, typer.Option("--hard", help="Labels of a file count as 1 when over 0.")
    ] = False,
    ends: Annotated[
        float,
        typer.Option(help="Share of a solution's weight that is its last step's, 0 to 1."),
    ] = 0.0,
    hidden: Annotated[
        int, typer.Option(help="Units of a hidden layer; 0 is a linear head.", min=0)
    ] = 0,
    contrast: Annotated[
        float,
        typer.Option(
            help="Share of the loss that sets right against wrong samples of a problem, "
            "0 to below 1."
        ),
    ] = 0.0,
    folds: Annotated[
        int,
        typer.Option(help="So many heads, each judged by problems it was not taught, averaged."),
    ] = 0,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            "--held-out",
            help="A graded run that judges the head, by its problems that are not in RUNS; "
            "none of RUNS' problems is held out then.",
        ),
    ] = None,
    prompt: Annotated[
        Prompt, typer.Option(help="What the model reads before the steps.")
    ] = "question",
    seed: Annotated[int, typer.Option(help="Of the split and the training.", min=0)] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where features are kept, for several heads; by default DIR."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of OpenVINO; by default all cores.", min=1)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Of transformers; by default the GPU if there is one.")
    ] = None,
    dtype: Annotated[
        DType | None,
        typer.Option(help="Of the states; by default the checkpoint's own, on OpenVINO float32."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a verifier on whether a model's own samples ended right; no human labels.

    Problems are split into training, validation and held-out ones, and every figure is of the
    held-out ones, or of another run's (`--held-out`). The same command goes on where it stopped;
    other settings reuse its features.

    Example: ponder train-verifier runs/sample -o heads/mine
    """
    if folder is None:
        raise UsageError("no folder for the head: give `-o DIR`")
    for place in (folder, cache or folder):
        check_can_be_filled(place)
    chosen = _layers(layers)
    with working("reading"):
        graded = [read_graded(run, problems) for run in runs]
        judges = [read_graded(run) for run in held_out or ()]
        named = _labels(labels, graded, judges, hard=hard)
        settings = HeadSettings(features, prompt, hidden, seed, named, ends, folds, contrast)
        base = base_model(
            model or own_model(graded),
            chosen,
            prompt=prompt,
            device=device,
            dtype=dtype,
            threads=threads,
            announce=announce,
        )

    async def train(stop: asyncio.Event) -> TrainingReport | None:
        with CountingProgress(errors(), "features", "problems") as watch:
            return await Training(
                graded, base, folder, settings, watch, cache, stop, judges
            ).train()

    report = interruptible(train)
    if report is None:
        raise PonderError(f"{folder}: stopped; the same command goes on with the features")
    if as_json:
        print_json(report)
    else:
        for line in training_lines(report):
            output().print(line, markup=False, soft_wrap=True)


def _layers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"`--layers` takes numbers such as 20 or 16,24, got {text!r}") from None


def _labels(
    named: str, runs: list[GradedRun], judges: list[GradedRun], *, hard: bool
) -> dict[tuple[str, tuple[str, ...]], float] | None:
    """None for the outcome."""
    if named == "outcome":
        if hard:
            raise UsageError("`--hard` is about the labels of a file: give `--labels FILE`")
        return None
    if not Path(named).is_file():
        raise UsageError(f"`--labels` takes outcome, or a file of step labels, got {named!r}")
    problems, judging = ([p for run in own for p in run.problems] for own in (runs, judges))
    return read_labels(Path(named), problems, judging, hard=hard)


def own_model(runs: list[GradedRun]) -> str | None:
    """The model that the runs were sampled from, where it runs here; None is the default one."""
    models = {(run.study.get("engine"), run.study.get("model")) for run in runs}
    engine, model = next(iter(models))
    if len(models) > 1 or engine not in ("embedded", "vllm"):
        told = ", ".join(run.source for run in runs)
        raise UsageError(f"the samples are from {told}: name the model to read with by `--model`")
    return None if model is None else str(model)
