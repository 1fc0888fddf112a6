"""The grade-school study: run it, and print its table.

    python tools/study.py tune    the shipped recipe's methods on the problems to tune on
    python tools/study.py report  the same on the problems to report on

Runs go to runs/study-tune or runs/study-report and go on where they stopped. The table is Markdown,
printed after every forty problems.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ponder.evals.demo import methods
from ponder.evals.intervals import mean_interval, paired_difference
from ponder.evals.measure import At
from ponder.evals.study import Plan, run_plans
from ponder.recipes import Recipe
from ponder.report.progress import MethodsProgress
from ponder.report.views import load_run
from ponder.runner import RunObserver

SEARCHES = ("beam search", "DVTS")
"""What the others are compared with; the samples are given the first one's tokens."""

PROBLEMS = {"tune": 160, "report": 200}
CHUNK = 40
"""Problems that every method has solved before any goes on: a stopped study is a smaller one."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    folder: Path
    selector: str
    at: At


def plans(problems: str, folder: Path, limit: int) -> dict[str, Plan]:
    """By name; the samples come last, since their budget is what beam search spent."""
    data = {"dataset": f"grade-school-{problems}", "limit": limit}
    recipe = Recipe.shipped("grade-school").changed(data, {})
    found = {method.name: method.plan for method in methods(recipe, folder)}
    equal = {"strategy": "sample", "n": 32, "equal_tokens": str(folder / "beam_search")}
    control = {"verifier": "random"}
    found["random"] = Plan(recipe.changed(control, {}), folder / "random")
    diverse = found["dvts"].recipe
    found["dvts_random"] = Plan(diverse.changed(control, {}), folder / "dvts_random")
    del found["sample"]
    found["sample"] = Plan(recipe.changed(equal, {}), folder / "sample")
    return found


def rows(found: dict[str, Plan]) -> Iterator[Row]:
    """Every method, the samples by each selector."""
    shown = (
        ("greedy decoding", "greedy", "majority"),
        ("majority, equal tokens", "sample", "majority"),
        ("best of N, equal tokens", "sample", "best_of_n"),
        ("weighted, equal tokens", "sample", "weighted"),
        ("beam search", "beam_search", "weighted"),
        ("beam search, random verifier", "random", "weighted"),
        ("DVTS", "dvts", "weighted"),
        ("DVTS, random verifier", "dvts_random", "weighted"),
        ("self-refinement", "self_refine", "majority"),
    )
    for name, run, selector in shown:
        points = load_run(found[run].folder).measured.points[selector]
        yield Row(name, found[run].folder, selector, points[max(points)])


def table(found: dict[str, Plan]) -> str:
    """Accuracy and the paired difference of each search to each method, with 95 % intervals.

    Over the problems that every method has solved.
    """
    measured = list(rows(found))
    common = set.intersection(*(set(row.at.values) for row in measured))
    values = {row.name: {k: v for k, v in row.at.values.items() if k in common} for row in measured}
    lines = [
        f"{len(common)} problems, n = {found['beam_search'].recipe.study.n}",
        "",
        f"| method | accuracy | 95 % interval | generated tokens | {SEARCHES[0]} minus this "
        f"| {SEARCHES[1]} minus this |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in measured:
        interval = mean_interval(list(values[row.name].values()))
        tokens = [row.at.tokens[name] for name in common]
        told = [count for count in tokens if count is not None]
        mean = f"{sum(told) / len(told):.0f}" if len(told) == len(tokens) else "-"
        against = " | ".join(
            "" if row.name == search else _gap(values[search], values[row.name])
            for search in SEARCHES
        )
        lines.append(
            f"| {row.name} | {interval.mean:.1%} | {interval.low:.1%} to {interval.high:.1%} "
            f"| {mean} | {against} |"
        )
    return "\n".join(lines)


def _gap(first: Mapping[str, float], second: Mapping[str, float]) -> str:
    gap = paired_difference(first, second)
    return f"{gap.difference:+.1%} ({gap.low:+.1%} to {gap.high:+.1%})"


async def study(problems: str) -> None:
    """Run what is left to run, forty problems by every method at a time."""
    folder = Path("runs") / f"study-{problems}"

    with MethodsProgress(Console(stderr=True)) as progress:

        def watch(plan: Plan, left: int) -> RunObserver:
            return progress.method(plan.folder.name, left)

        behind: list[Plan] = []  # the samples, a chunk behind the search whose tokens they get
        for limit in range(CHUNK, PROBLEMS[problems] + 1, CHUNK):
            found = plans(problems, folder, limit)
            samples = found.pop("sample")
            await run_plans([*behind, *found.values()], announce=print, watch=watch)
            behind = [samples]
            if limit > CHUNK:
                print(table(plans(problems, folder, limit - CHUNK)), flush=True)
        await run_plans(behind, announce=print, watch=watch)
    print(table(plans(problems, folder, PROBLEMS[problems])))


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in PROBLEMS]:
        sys.exit(__doc__)
    asyncio.run(study(sys.argv[1]))
