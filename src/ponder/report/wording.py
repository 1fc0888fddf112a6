"""How numbers are written, the same in the terminal and on the page; None is "-", never 0."""

from __future__ import annotations

from ponder.trace import Trace


def share(value: float | None) -> str:
    """0.475 as "47.5 %"."""
    return "-" if value is None else f"{points(value)} %"


def of_all(finished: int, asked: int) -> str:
    """20 of 20 as "20", 18 of 20 as "18 of 20"."""
    return f"{asked:,}" if finished == asked else f"{finished:,} of {asked:,}"


def problems_of(finished: int, asked: int) -> str:
    """The same in words: "18 of 20 problems"."""
    return f"{of_all(finished, asked)} {'problem' if asked == 1 else 'problems'}"


def signed(value: float) -> str:
    """-0.0123 as "-1.2", in percentage points."""
    return points(value, "+")


def interval(low: float | None, high: float | None) -> str:
    """0.41 and 0.541 as "41.0 to 54.1"."""
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def points(value: float, sign: str = "") -> str:
    """0.24 as "24.0"; what differs by rounding alone is written alike, and 0 is never "-0.0"."""
    rounded = round(round(value * 100, 9), 1) + 0.0
    return f"{rounded:{sign}.1f}"


def count(value: float | None) -> str:
    """A count or a mean in few characters: 0, 1.25, 612, 12.4k, 3.1M, 3.42e+11."""
    if value is None:
        return "-"
    if value >= 999.5e6:
        return f"{value:.3g}"
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def unparsable(critiques: int | None, without: int | None) -> str:
    """How many of a judge's critiques held no verdict; empty where none were drawn."""
    return f"{without} of {critiques} critiques unparsable" if critiques else ""


def ending(trace: Trace) -> str:
    """Why a search ended before it was complete; empty when it was."""
    words = {"settled": "its answer was settled early", "complete": ""}
    return words.get(trace.stopped, f"stopped by its {trace.stopped}")


def savings(trace: Trace) -> str:
    """The work that was not done; empty when nothing was saved."""
    saved = trace.savings
    counts = {
        "samples not drawn": saved.samples,
        "samples ended midway": saved.midway,
        "equal prefixes not scored again": saved.scores,
        "samples in the call of an equal prefix": saved.prefixes,
        "prompts not tokenised again": saved.prompts,
    }
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number)
