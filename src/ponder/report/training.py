"""What a trained head is worth, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ponder.evals.bootstrap import Estimated
from ponder.training.held_out import HeldOut, Selection
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
    within = _area(held_out["solutions"]["auc_within"], "no held-out problem ended both ways")
    yield f"  within a problem  {within}"
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
    yield from _chance(held_out)
    yield f"saved in {report['head']}"


def _chance(held_out: HeldOut) -> Iterator[str]:
    """That the head is no better than chance, and how that is known; nothing if it is better."""
    area, within = held_out["solutions"]["auc"], held_out["solutions"]["auc_within"]
    if not held_out["better_than_chance"]:
        if area["ci_high"] is None:
            known = "the held-out problems are too few, or too alike, to say otherwise"
        elif area["ci_high"] < 0.5:
            known = "the interval of its AUC lies below 0.5"
        else:
            known = "the interval of its AUC holds 0.5"
        yield f"This head counts as no better than chance: {known}."
    elif held_out["better_within_problems"] is False:
        known = "it cannot choose"
        if within["ci_high"] is None:
            known = "too few held-out problems ended both ways to say that it can choose"
        yield (
            "Among the samples of a problem this head counts as no better than chance, though it "
            f"tells hard problems from easy ones: {known}."
        )


def _area(area: Estimated, nothing: str = "all held-out samples ended alike") -> str:
    if area["value"] is None:
        return f"- ({nothing})"
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
