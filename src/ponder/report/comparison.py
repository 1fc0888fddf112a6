"""What `ponder compare` prints: methods, and every pair of them."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.compare import Comparison, PairResult, SingleAnswers
from ponder.evals.cost_curves import NEAR
from ponder.evals.matched import MatchedCosts
from ponder.evals.within_tokens import ORDERS, WithinTokens
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.view import SELECTOR_LABELS
from ponder.report.wording import count, interval, points, share, signed

_NOTE = (
    "Differences are first less second in percentage points, on the same problems. p: sign-flip "
    "permutation, mid-p; Holm: p for so many pairs; found at 80 %: the true difference that such a "
    "comparison finds in 80 of 100 cases."
)

_TOO_FEW = (
    "found at 80 % is - where so few problems would not show even a difference of 100 points."
)

_SAMPLES_NOTE = (
    "Samples are means over {orders} random orders of the stored ones, each cut where the tokens "
    "end; a cut one has no vote. Used up: all stored samples together were no more tokens."
)


def comparison_report(compared: Comparison) -> RenderableType:
    """The methods, the pairs, and how to read them."""
    pairs = compared["pairs"]
    left_out = max(pair["left_out"] for pair in pairs)
    parts: list[RenderableType] = [_methods(compared), _pairs(pairs)]
    if any(pair["mcnemar"] for pair in pairs):
        parts.append(_single_answers(pairs))
    parts.append(Text(_NOTE))
    if any(pair["detectable"] is None for pair in pairs):
        parts.append(Text(_TOO_FEW))
    if left_out:
        parts.append(Text(f"Up to {left_out} problems that only one has are left out of a pair."))
    return Group(*parts)


def _methods(compared: Comparison) -> Table:
    heads = ("method", "selector", "N", "runs", "problems", "accuracy", "95 % interval")
    table = headed("", heads)
    for method in compared["methods"]:
        table.add_row(
            visible(method["name"]),
            SELECTOR_LABELS.get(method["selector"], method["selector"]),
            f"{method['n']:g}",
            str(method["runs"]),
            str(method["n_problems"]),
            share(method["accuracy"]),
            interval(method["ci_low"], method["ci_high"]),
        )
    return table


def _pairs(pairs: list[PairResult]) -> Table:
    table = headed("", ("pair", "difference", "95 % interval", "p", "Holm", "found at 80 %"))
    for pair in pairs:
        found = pair["detectable"]
        shown = "-" if found is None else points(found)
        table.add_row(_named(pair), *_difference(pair), shown)
    return table


def _difference(pair: PairResult) -> tuple[str, str, str, str]:
    """Difference, interval, p and Holm's p."""
    between = f"{signed(pair['ci_low'])} to {signed(pair['ci_high'])}"
    chances = (probability(pair["permutation_mid_p"]), probability(pair["holm_p"]))
    return signed(pair["difference"]), between, *chances


def _single_answers(pairs: list[PairResult]) -> Table:
    heads = ("single answers", "first only", "second only", "McNemar mid-p")
    table = headed("", heads)
    for pair in pairs:
        single: SingleAnswers | None = pair["mcnemar"]
        if single is not None:
            counts = (str(single["first_only"]), str(single["second_only"]))
            table.add_row(_named(pair), *counts, probability(single["mid_p"]))
    return table


def _named(pair: PairResult) -> str:
    return f"{visible(pair['first'])} - {visible(pair['second'])}"


def probability(p: float) -> str:
    """0.0312 as "0.031"; what is smaller than 0.001 is said to be."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def within_tokens_report(equal: WithinTokens) -> RenderableType:
    """What each method spent where samples got what the reference did."""
    spent = f"{count(equal['tokens'])} a problem"
    title = f"at the generated tokens of {visible(equal['reference'])}, {spent}"
    table = headed(title, ("method", "selector", "samples", "tokens", "problems used up"))
    for row in equal["methods"]:
        table.add_row(
            visible(row["name"]),
            SELECTOR_LABELS.get(row["selector"], row["selector"]),
            "-" if row["samples"] is None else f"{row['samples']:.2f}",
            count(row["tokens"]),
            str(row["used_up"]),
        )
    return Group(table, Text(_SAMPLES_NOTE.format(orders=ORDERS)))


def equal_cost_report(equal: MatchedCosts) -> RenderableType:
    """The pairs at equal cost, who reaches whom for less, and the Pareto front."""
    lines = [Text(pair["reason"]) for pair in equal["unmatched"]]
    matched = [_matched(equal)] if equal["matched"] else []
    return Group(*matched, *lines, _less(equal), _pareto(equal))


def _matched(equal: MatchedCosts) -> Table:
    heads = ("pair", "cost", "N", "difference", "95 % interval", "p", "Holm")
    table = headed(f"at equal {equal['axis']}, mean of a problem", heads)
    for matched in equal["matched"]:
        pair = matched["compared"]
        sizes = f"{matched['first_n']:.3g} and {matched['second_n']:.3g}"
        table.add_row(_named(pair), count(matched["cost"]), sizes, *_difference(pair))
    return table


def _less(equal: MatchedCosts) -> RenderableType:
    """Only what is cheaper: a method that needs as much for the same accuracy, or more, is none."""
    least = 1 + NEAR
    cheaper = [own for own in equal["cheaper"] if (own["times_less"]["value"] or 0.0) > least]
    if not cheaper:
        return Text(f"No method reaches another's accuracy for less {equal['axis']}.")
    heads = ("method", "equals", "accuracy", "at N", "times less", "95 % interval")
    table = headed(f"the same accuracy for less {equal['axis']}", heads)
    for found in cheaper:
        less = found["times_less"]
        low = less["ci_low"]
        table.add_row(
            visible(found["method"]),
            visible(found["equals"]),
            share(found["accuracy"]),
            "-" if found["n"] is None else f"{found['n']:.3g}",
            count(less["value"]),
            "-" if low is None else f"{count(low)} to {count(less['ci_high'])}",
        )
    return table


def _pareto(equal: MatchedCosts) -> Table:
    table = headed("Pareto front", ("method", "selector", "N", "cost", "accuracy"))
    for point in equal["pareto"]:
        table.add_row(
            visible(point["name"]),
            SELECTOR_LABELS.get(point["selector"], point["selector"]),
            str(point["n"]),
            count(point["cost"]),
            share(point["accuracy"]),
        )
    return table
