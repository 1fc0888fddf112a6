"""`ponder fit`: what to spend a budget on, by how hard a problem is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ponder.cli.methods import note_problems
from ponder.cli.options import AsJson, Runs, Score
from ponder.cli.terminal import announce, output, print_json, working
from ponder.evals.policies.fit import fit
from ponder.evals.policies.runs import FittedRun
from ponder.report.fitting import fit_report
from ponder.report.views import LoadedRun, loaded
from ponder.search.difficulty import LEVELS
from ponder.store.files import replace_file
from ponder.strategies.policy_file import policy_toml


def fit_policy(
    runs: Runs,
    policy: Annotated[Path, typer.Option("-o", help="The policy to write.")],
    samples: Annotated[
        int, typer.Option(help="Drawn first; they predict how hard a problem is.", min=1)
    ] = 4,
    levels: Annotated[int, typer.Option(help="Levels of difficulty.", min=1)] = LEVELS,
    measure: Annotated[
        Literal["score", "agreement"] | None,
        typer.Option(help="Predict by the mean score, or by how far answers agree."),
    ] = None,
    score: Score = None,
    seed: Annotated[int, typer.Option(help="Splits the problems in two.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Choose strategy, knobs and selector by difficulty, from runs over the same problems.

    One of the runs must be of `sample`. `strategy = "compute_optimal"` applies what is written.

    Example: ponder fit runs/sample runs/beams runs/dvts -o policy.toml
    """
    with working("fitting"):
        found = loaded(runs, score=score)
        note_problems(found)
        fitted = fit(
            [_fitted(run) for run in found],
            samples=samples,
            levels=levels,
            measure=measure,
            seed=seed,
        )
    names = ", ".join(run.view.name for run in found)
    about = f"Written by `ponder fit` from {names}: {fitted.report['n_problems']} problems."
    replace_file(policy, policy_toml(fitted.policy, about))
    if as_json:
        print_json(fitted.report)
    else:
        output().print(fit_report(fitted.report))
    announce(f"wrote {policy}")


def _fitted(run: LoadedRun) -> FittedRun:
    """A run as it was ranked: samples by the verifier of `--score`, a search by its own guide."""
    study = run.study
    if run.scored_by is not None and study.get("strategy") == "sample":
        study = {**study, "verifier": run.scored_by, "verifier_knobs": None}
    return FittedRun(run.view.name, study, run.measured, run.aggregation)
