"""What `ponder fit` prints: each n, the ways to choose, and whether choosing by level helps."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.policies.equal_tokens import EqualRow, EqualTokens
from ponder.evals.policies.figures import FitAt
from ponder.evals.policies.fit import FitReport
from ponder.evals.policies.rows import FitRow
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.wording import count, interval, share, signed

_NOTE = (
    "Gain: the policy less this, in percentage points, on the same problems. Choices are made on "
    "one half of the problems and measured on the other. Oracle levels are by the share of right "
    "samples; predicted ones by all samples, which are not counted; the policy knows the first "
    "samples only, and what it spends holds them. At equal tokens a fixed choice mixes the two n "
    "around what the policy spends; where it has none, the policy mixes two of its n, of which the "
    "least is its first samples alone; where this cannot be either, its tokens are marked as less "
    "or more. Each interval is for itself: of many equal choices one in twenty seems told. Level 1 "
    "is the easiest."
)


def fit_report(report: FitReport) -> RenderableType:
    """Two tables for each n, at equal n and at equal tokens, each with a verdict; the choices."""
    parts: list[RenderableType] = []
    for at in report["sizes"]:
        parts += [
            _table(at),
            Text(_at_equal_n(at)),
            Text(),
            *_equal(at),
            Text(_choices(at)),
            Text(),
        ]
    return Group(*parts, *(Text(visible(note)) for note in report["notes"]), Text(_NOTE))


def _table(at: FitAt) -> Table:
    heads = ("choice", "accuracy", "95 % interval", "tokens", "gain", "95 % interval")
    table = headed(f"n = {at['n']}", heads)
    for place, row in enumerate(at["fixed"]):
        _add(table, row, end_section=place == len(at["fixed"]) - 1)
    for row in (
        *([at["best_fixed"]] if at["best_fixed"] else []),
        at["first_samples"],
        at["predicted_levels"],
        at["oracle_levels"],
        at["oracle_choice"],
    ):
        _add(table, row)
    return table


def _add(table: Table, row: FitRow, *, end_section: bool = False) -> None:
    own = row["name"] == "by the first samples"
    table.add_row(
        visible(row["name"]),
        share(row["accuracy"]),
        interval(row["ci_low"], row["ci_high"]),
        count(row["tokens"]),
        *(("", "") if own else _gain(row)),
        end_section=end_section,
    )


def _gain(row: FitRow) -> tuple[str, str]:
    """How much better the policy is, and the interval."""
    return signed(row["gain"]), f"{signed(row['gain_low'])} to {signed(row['gain_high'])}"


def _at_equal_n(at: FitAt) -> str:
    if at["best_fixed"] is None:
        return f"No fixed choice ran at n = {at['n']}."
    return f"At equal n {_verdict(at['best_fixed'], 'the best fixed choice')}"


def _verdict(best: FitRow, called: str) -> str:
    gain, between = _gain(best)
    if best["gain_low"] > 0:
        return f"choosing by the first samples gains {gain} points ({between}) over {called}."
    better = "better" if best["gain_high"] < 0 else "no worse"
    return f"a fixed choice is {better}: the policy gives {gain} points ({between}) over {called}."


def _equal(at: FitAt) -> list[RenderableType]:
    equal = at["equal_tokens"]
    if equal is None:
        return [Text("At equal tokens nothing is told: the runs do not tell their tokens.")]
    return [_equal_table(equal, at["n"]), Text("\n".join(_findings(equal))), Text()]


def _equal_table(equal: EqualTokens, n: int) -> Table:
    heads = ("fixed choice", "n", "policy n", "tokens", "accuracy", "gain", "95 % interval")
    table = headed(f"at equal tokens: {count(equal['tokens'])} of the policy at n = {n}", heads)
    for row in equal["fixed"]:
        table.add_row(
            visible(row["name"]),
            f"{row['n']:.3g}",
            f"{row['policy_n']:.3g}",
            _spent(row),
            share(row["accuracy"]),
            *_gain(row),
        )
    return table


def _spent(row: EqualRow) -> str:
    tokens = count(row["tokens"])
    return tokens if row["spends"] == "equal" else f"{tokens} {row['spends']}"


def _findings(equal: EqualTokens) -> list[str]:
    best = equal["best_fixed"]
    called = f"the best one for no more tokens ({count(best['tokens'])})"
    lines = [f"At equal tokens {_verdict(best, called)}"]
    if equal["beats_each"]:
        return [*lines, "The policy beats each fixed choice."]
    for head, finding in (
        ("The policy beats", "beaten"),
        ("Better than the policy", "better"),
        ("Not told from the policy", "open"),
    ):
        lines += _listed(head, [r["name"] for r in equal["fixed"] if r["finding"] == finding])
    unmatched = [
        f"{row['name']} ({_spent(row)})" for row in equal["fixed"] if row["finding"] == "unmatched"
    ]
    lines += _listed("Cannot be had for as many tokens", unmatched)
    return lines + _listed("Tokens not told", equal["untold"])


def _listed(head: str, names: Sequence[str]) -> list[str]:
    return [f"{head}: {visible('; '.join(names))}."] if names else []


def _choices(at: FitAt) -> str:
    return "\n".join(f"level {level}: {name}" for level, name in enumerate(at["choices"], start=1))
