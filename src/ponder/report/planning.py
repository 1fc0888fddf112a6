"""What `ponder run --plan` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ponder.evals.planning import Forecast, Outlook
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.wording import count
from ponder.strategies.base import Most

_LABELS = {
    "generations": "samples",
    "generated_tokens": "generated tokens",
    "total_tokens": "all tokens, with the verifier's",
    "flops": "floating-point operations",
    "money": "money, at the prices given",
    "hours": "hours, as fast as those problems",
}


def bound_line(name: str, problems: int, most: Most | None) -> Text:
    """The most that a run can take, whatever the model says."""
    if most is None:
        return Text(f"{visible(name)}: {problems} problems; the strategy tells no bound")
    return Text(
        f"{visible(name)}: {problems} problems, at most {count(most.generations)} samples and "
        f"{count(most.generated_tokens)} generated tokens"
    )


def outlook_report(found: Sequence[Outlook]) -> RenderableType:
    """A table a run."""
    return Group(*(_table(outlook) for outlook in found))


def _table(outlook: Outlook) -> RenderableType:
    title = f"{visible(outlook['run'])}: all {outlook['n_problems']} problems"
    table = headed(title, ("", "about", "90 % interval"))
    for axis, label in _LABELS.items():
        forecast = outlook["estimate"].get(axis)
        table.add_row(label, *_shown(forecast))
    told = f"Estimated from {outlook['known']} finished problems."
    return Group(table, Text(told))


def _shown(forecast: Forecast | None) -> tuple[str, str]:
    if forecast is None:
        return "-", "-"
    return count(forecast["total"]), f"{count(forecast['low'])} to {count(forecast['high'])}"
