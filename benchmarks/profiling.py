"""Where the event loop's time goes, on an engine and a verifier that cost nothing."""

from __future__ import annotations

import cProfile
import pstats
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from benchmarks import scripted
from benchmarks.options import Options
from benchmarks.overhead import open_store, solve
from benchmarks.tables import table

NAME = "profile"
N = 64
PROBLEMS = 16
SHOWN = 12
"""Modules that the page lists."""

_DONE = (
    "What was done since the profile that is called before: a call's name and record are made "
    "once, and without `dataclasses.asdict`, which copied every token; the thread that writes the "
    "run is woken once a transaction and not once a record; a new run reads no calls from its "
    "file; calls and traces are made JSON by pydantic, in a quarter of the time; where no budget "
    "counts tokens, prompts and verifiers' tokens are not summed up as the search goes; the "
    "scripted engine cuts a text into its tokens once."
)
_MODULE = re.compile(r"(ponder/.*|benchmarks/\w+|python3\.\d+/(?!site-packages).*)\.py$")


@dataclass(frozen=True, slots=True)
class Profile:
    """One strategy's run."""

    strategy: str
    nodes: int
    seconds: dict[str, float]
    """By module, largest first: its own time, with the built-in functions that it calls."""
    calls: int | None = None
    """Of functions, those built in among them; None: not counted."""


@dataclass(frozen=True, slots=True)
class Results:
    """One profile a strategy: the profiler slows all of it, so shares are told and no times."""

    profiles: tuple[Profile, ...]


async def measure(options: Options) -> Results:
    """A run of each strategy under the profiler of the standard library."""
    n, problems = (4, 2) if options.small else (N, PROBLEMS)
    return Results(tuple([await _profile(name, n, problems) for name in scripted.strategies(n)]))


async def _profile(strategy: str, n: int, problems: int) -> Profile:
    method = scripted.method(scripted.strategies(n)[strategy])
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        profiler = cProfile.Profile()
        profiler.enable()
        await solve(method, problems, store)
        profiler.disable()
        nodes = sum(len(trace.nodes) for trace in store.traces())
    calls = cast("Any", pstats.Stats(profiler)).total_calls
    return Profile(strategy, nodes, dict(by_module(profiler).most_common()), calls)


def by_module(profiler: cProfile.Profile) -> Counter[str]:
    """Seconds by module; waiting for input is left out."""
    seconds: Counter[str] = Counter()
    stats = cast("Any", pstats.Stats(profiler)).stats
    for (file, _, function), (_, _, own, _, callers) in stats.items():
        if "poll" in function or "select" in function:
            continue
        module = _module(file)
        if module is not None:
            seconds[module] += own
            continue
        for (caller, _, _), (_, _, spent, _) in cast("Mapping[Any, Any]", callers).items():
            seconds[_module(caller) or "other"] += spent
    return seconds


def _module(file: str) -> str | None:
    """As "ponder/session/drawing"; None for built-in functions and installed packages."""
    found = _MODULE.search(file)
    return None if found is None else re.sub(r"^python3\.\d+/", "", found[1])


def section(results: Results, options: Options) -> Iterator[str]:
    """The part of the page."""
    yield (
        f"Shares of the event loop's own time, n = {N}, {PROBLEMS} problems, on the scripted "
        "engine: each module's own, with the built-in functions that it calls."
        + (f" {_DONE}" if options.label is None else "")
    )
    yield ""
    columns = [_column(profile) for profile in results.profiles]
    names = [profile.strategy for profile in results.profiles]
    yield from table(names, zip(*columns, strict=True))
    calls = [f"{p.strategy} {p.calls / p.nodes:.0f}" for p in results.profiles if p.calls]
    if calls:
        yield ""
        yield f"Calls of functions a node, built-in ones among them: {', '.join(calls)}."


def _column(profile: Profile) -> list[str]:
    total = sum(profile.seconds.values())
    ordered = sorted(profile.seconds.items(), key=lambda pair: -pair[1])
    shown = [f"{100 * spent / total:.0f} % {module}" for module, spent in ordered[:SHOWN]]
    return shown + [""] * (SHOWN - len(shown))
