"""What `ponder compare` prints: methods, and every pair of them."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.compare import Comparison, PairResult, SingleAnswers
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.view import SELECTOR_LABELS
from ponder.report.wording import interval, share, signed

_NOTE = (
    "Differences are first less second in percentage points, on the same problems. p: sign-flip "
    "permutation, mid-p; Holm: p for so many pairs; found at 80 %: the true difference that such a "
    "comparison finds in 80 of 100 cases."
)


def comparison_report(compared: Comparison) -> RenderableType:
    """The methods, the pairs, and how to read them."""
    pairs = compared["pairs"]
    left_out = max(pair["left_out"] for pair in pairs)
    parts: list[RenderableType] = [_methods(compared), _pairs(pairs)]
    if any(pair["mcnemar"] for pair in pairs):
        parts.append(_single_answers(pairs))
    parts.append(Text(_NOTE))
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
            str(method["n"]),
            str(method["runs"]),
            str(method["n_problems"]),
            share(method["accuracy"]),
            interval(method["ci_low"], method["ci_high"]),
        )
    return table


def _pairs(pairs: list[PairResult]) -> Table:
    table = headed("", ("pair", "difference", "95 % interval", "p", "Holm", "found at 80 %"))
    for pair in pairs:
        table.add_row(
            _named(pair),
            signed(pair["difference"]),
            f"{signed(pair['ci_low'])} to {signed(pair['ci_high'])}",
            probability(pair["permutation_mid_p"]),
            probability(pair["holm_p"]),
            f"{pair['detectable'] * 100:.1f}",
        )
    return table


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
