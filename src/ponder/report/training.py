"""What a trained head is worth, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ponder.evals.bootstrap import Estimated
from ponder.training.held_out import Selection
from ponder.training.metrics import Bin
from ponder.training.settings import TrainingReport


def training_lines(report: TrainingReport) -> Iterator[str]:
    """The head, its figures on held-out problems, and what they mean."""
    problems, solutions = report["problems"], report["solutions"]
    held_out = report["held_out"]
    layers = ",".join(map(str, report["layers"]))
    yield f"{report['base']}, layer {layers}, {report['features']}, {report['labels']} labels"
    judged = f"{problems['held_out']} problems, {solutions['held_out']} solutions"
    elsewhere = report["held_out_runs"]
    source = f" of {', '.join(elsewhere)}" if elsewhere else ""
    if folds := report["folds"]:
        taught = folds - 1 if elsewhere else folds - 2
        whose = (
            f"figures of their average on held-out problems{source}"
            if elsewhere
            else f"figures of each on the {folds}th that it was not taught"
        )
        yield (
            f"{folds} heads, averaged: each trained on {taught}/{folds} of {problems['train']} "
            f"problems, {report['steps']} steps; {whose}: {judged}"
        )
    else:
        yield (
            f"trained on {problems['train']} problems, {solutions['train']} solutions, "
            f"{report['steps']} steps; held out{source}: {judged}"
        )
    yield f"AUC of solutions    {_area(held_out['solutions']['auc'])}"
    yield f"  within a problem  {_area(held_out['solutions']['auc_within'])}"
    yield f"AUC of steps        {_area(held_out['steps']['auc'])}"
    for name in ("solutions", "steps"):
        figures = held_out["solutions"] if name == "solutions" else held_out["steps"]
        yield (
            f"Brier, {name:<12} {figures['brier']:.3f} "
            f"(the base rate alone: {figures['brier_of_base_rate']:.3f})"
        )
    yield from _reliability(held_out["solutions"]["reliability"])
    for run, selection in held_out["selection"].items():
        yield from _selection(run, selection)
    if not held_out["better_than_chance"]:
        yield "This head is no better than chance: the interval of its AUC holds 0.5."
    elif held_out["better_within_problems"] is False:
        yield (
            "Among the samples of a problem this head is no better than chance, though it tells "
            "hard problems from easy ones: it cannot choose."
        )
    yield f"saved in {report['head']}"


def _area(area: Estimated) -> str:
    if area["value"] is None:
        return "- (all held-out samples ended alike)"
    if area["ci_low"] is None:
        return f"{area['value']:.3f} (too few problems for an interval)"
    return f"{area['value']:.3f} ({area['ci_low']:.3f} to {area['ci_high']:.3f})"


def _reliability(bins: list[Bin]) -> Iterator[str]:
    yield "predicted  came true  solutions"
    for part in bins:
        if part["count"]:
            yield f"{part['predicted']:9.2f}  {part['observed']:9.2f}  {part['count']:9}"


def _selection(run: str, selection: Selection) -> Iterator[str]:
    yield f"{run}: {selection['problems']} held-out problems"
    for selector, points in selection["curves"].items():
        shares = "  ".join(f"{n}: {point['accuracy']:.1%}" for n, point in points.items())
        yield f"  {selector:<10} {shares}"
    gain = selection["weighted_minus_majority"]
    if gain is not None:
        yield (
            f"  weighted minus majority at {gain['n']}: {gain['difference']:+.1%} "
            f"({gain['low']:+.1%} to {gain['high']:+.1%})"
        )
