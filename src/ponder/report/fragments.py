"""The page's fixed parts as HTML: comparison, warnings, numbers behind the figures, origins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ponder.report.escape import visible
from ponder.report.scales import Scale, accuracy_range
from ponder.report.view import (
    SELECTOR_LABELS,
    WARNING_SHARE,
    MethodRow,
    RunView,
    Summary,
    method_row,
    problems_apart,
    warnings,
)
from ponder.report.wording import count, interval, of_all, problems_of, share

_COLUMNS = (
    "method",
    "accuracy",
    "95 % interval",
    "",
    "one at random",
    "generated tokens",
    "verifier tokens",
    "seconds",
    "truncated",
    "unanswered",
)


def text(content: str) -> str:
    """Any text as HTML that shows it and does nothing else."""
    return escape(visible(content))


def lede(runs: Sequence[RunView]) -> str:
    """One sentence under the title: what was measured, on how much, and who graded."""
    finished = {trace.problem_id for run in runs for trace in run.traces}
    asked = finished.union(*(run.examples for run in runs))
    subject = f"{len(runs)} methods" if len(runs) > 1 else text(runs[0].name)
    imported = any(run.summary.grades == "imported" for run in runs)
    grader = "by the imported grades" if imported else "by comparison with the reference"
    return f"{subject} on {problems_of(len(finished), len(asked))}, graded {grader}."


def warning_list(runs: Sequence[RunView]) -> str:
    """A notice of too many ruined samples; empty when no run has them."""
    lines = [f"<li>{text(line)}</li>" for line in warnings(runs)]
    return f'<ul class="warnings" role="alert">{"".join(lines)}</ul>' if lines else ""


def comparison(runs: Sequence[RunView]) -> str:
    """The headline table: a row a run."""
    rows = [method_row(run) for run in runs]
    apart = problems_apart(rows)
    columns = [_COLUMNS[0], *(["problems"] if apart else []), *_COLUMNS[1:]]
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    known = [v for row in rows for v in (row.accuracy, row.low, row.high) if v is not None]
    scale = Scale(*accuracy_range(known), 4, 136)
    body = "".join(_row(run, row, scale, apart=apart) for run, row in zip(runs, rows, strict=True))
    notes = (
        "Tokens and seconds are means a problem. “One at random” is the accuracy of a candidate "
        "picked at random: what choosing adds to it is the selector’s doing."
    )
    return (
        f'<div class="wide"><table class="comparison"><thead><tr>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="note">{notes}</p>'
    )


def numbers(runs: Sequence[RunView]) -> str:
    """Every point of every curve as a table, folded away: the figures' text alternative.

    Runs that chose from the same samples share a table.
    """
    named: list[tuple[Summary, list[str]]] = []
    for run in runs:
        known = next((names for summary, names in named if summary == run.summary), None)
        if known is None:
            named.append((run.summary, [run.name]))
        else:
            known.append(run.name)
    tables = "".join(_curve_table(", ".join(names), summary) for summary, names in named)
    return f'<details class="numbers"><summary>The numbers</summary>{tables}</details>'


def provenance(runs: Sequence[RunView], shared: Mapping[str, str]) -> str:
    """Model, machine, versions: what all runs have in common once, then each run's own."""
    common = {
        **shared,
        **{
            name: value
            for name, value in runs[0].provenance.items()
            if all(run.provenance.get(name) == value for run in runs)
        },
    }
    parts = [_facts(common)]
    for run in runs:
        own = {name: value for name, value in run.provenance.items() if name not in common}
        parts += [f"<h3>{text(run.name)}</h3>{_facts(own)}"] if own else []
    return "".join(parts) + _recipes(runs)


def _row(run: RunView, row: MethodRow, scale: Scale, *, apart: bool) -> str:
    cells = (
        *([f"<td>{of_all(row.problems, row.asked)}</td>"] if apart else []),
        f'<td class="accuracy">{share(row.accuracy)}</td>',
        f"<td>{interval(row.low, row.high)}</td>",
        f"<td>{_whisker(row, scale)}</td>",
        f"<td>{share(row.random_choice)}</td>",
        *(f"<td>{count(cost)}</td>" for cost in (row.generated, row.verifier, row.seconds)),
        *(_ruined(value) for value in run.summary.spoilt),
    )
    return f'<tr><th scope="row">{text(row.name)}</th>{"".join(cells)}</tr>'


def _whisker(row: MethodRow, scale: Scale) -> str:
    if row.accuracy is None:
        return ""
    middle = scale(row.accuracy)
    drawn = f'<circle cx="{middle:.1f}" cy="9" r="4"/>'
    if row.low is not None and row.high is not None:
        low, high = scale(row.low), scale(row.high)
        drawn = f'<line x1="{low:.1f}" x2="{high:.1f}" y1="9" y2="9"/>{drawn}'
    return (
        '<svg class="interval" viewBox="0 0 140 18" width="140" height="18" aria-hidden="true">'
        f'<line class="track" x1="4" x2="136" y1="9" y2="9"/>{drawn}</svg>'
    )


def _ruined(value: float | None) -> str:
    loud = ' class="loud"' if value is not None and value > WARNING_SHARE else ""
    return f"<td{loud}>{share(value)}</td>"


def _curve_table(name: str, summary: Summary) -> str:
    head = "".join(
        f'<th scope="col">{column}</th>'
        for column in ("selector", "N", "accuracy", "95 % interval", "first N", "tokens")
    )
    rows = []
    for selector, curve in summary.curves.items():
        first = summary.first_n.get(selector, {})
        for n, point in sorted(curve.items()):
            rows.append(
                f'<tr><th scope="row">{text(SELECTOR_LABELS.get(selector, selector))}</th>'
                f"<td>{n}</td><td>{share(point.accuracy)}</td>"
                f"<td>{interval(point.ci_low, point.ci_high)}</td>"
                f"<td>{share(first.get(n))}</td><td>{count(point.tokens)}</td></tr>"
            )
    return (
        f'<div class="wide"><table><caption>{text(name)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    entries = (f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(entries)}</dl>" if facts else ""


def _recipes(runs: Sequence[RunView]) -> str:
    """Each recipe once, under the names of the runs that share it."""
    names: dict[str, list[str]] = {}
    for run in runs:
        if run.recipe:
            names.setdefault(run.recipe, []).append(run.name)
    return "".join(
        f"<details><summary>Recipe of {text(', '.join(of))}</summary>"
        f"<pre>{text(recipe)}</pre></details>"
        for recipe, of in names.items()
    )
