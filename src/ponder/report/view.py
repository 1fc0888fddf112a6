"""What the pictures are drawn from: one run's traces, grades and summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from ponder.evals.curves import OWN
from ponder.report.wording import share
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.trace import Spent, Trace
from ponder.types import Example, NodePath

WARNING_SHARE = 0.05
"""A share of truncated or unanswered samples above this ruins a study silently."""

SELECTOR_LABELS = {
    "majority": "majority",
    "best_of_n": "best of N",
    "weighted": "weighted",
    "oracle": "oracle",
    OWN: "own choices",
}


class Point(BaseModel):
    """One measured accuracy, as `ponder report --json` gives it."""

    model_config = ConfigDict(frozen=True)

    accuracy: float
    """0 to 1."""
    ci_low: float | None = None
    ci_high: float | None = None
    stderr: float | None = None
    mc_stderr: float | None = None
    tokens: float | None = None
    """Mean of generated tokens a problem; None: not told."""


class CostPoint(BaseModel):
    """What a problem cost on average at one N; None: not told."""

    model_config = ConfigDict(frozen=True)

    generations: float | None = None
    generated_tokens: float | None = None
    total_tokens: float | None = None
    flops: float | None = None
    seconds: float | None = None
    money: float | None = None


class Part(BaseModel):
    """Curves of some of the problems, or of a search that is cut."""

    model_config = ConfigDict(frozen=True)

    n_problems: int | None = None
    """Problems of a level or subject."""
    width: int | None = None
    """Candidates of a subtree, where a DVTS is cut by whole ones."""
    curves: dict[str, dict[int, Point]]
    """By selector, by N."""


class Summary(BaseModel):
    """One run's numbers: the contract of `ponder report RUN --json`."""

    model_config = ConfigDict(frozen=True)

    n_problems: int
    """The finished ones."""
    n_asked: int | None = None
    """Those that the run holds; None: not told."""
    failed: int = 0
    grades: str = "ours"
    curves: dict[str, dict[int, Point]]
    """By selector, by N."""
    first_n: dict[str, dict[int, float]] = {}
    truncated: float | None = None
    """Share of candidates, 0 to 1."""
    unanswered: float | None = None
    costs: dict[int, CostPoint] = {}
    """By N."""
    levels: dict[str, Part] = {}
    subjects: dict[str, Part] = {}
    subtrees: Part | None = None
    """Of a DVTS, by whole subtrees."""

    @property
    def spoilt(self) -> tuple[float | None, float | None]:
        """The shares `truncated` and `unanswered`; None where no problem is finished."""
        return (self.truncated, self.unanswered) if self.n_problems else (None, None)

    def at_largest(self, selector: str) -> tuple[int, Point] | None:
        """The point of `selector` at its largest N, with that N."""
        curve = self.curves.get(selector)
        return max(curve.items()) if curve else None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, ready to be drawn; grading and summarising happened before."""

    name: str
    """How the page and the tables call it: "beam search"."""
    strategy: str
    """Its registered name."""
    traces: tuple[Trace, ...]
    """One a finished problem, in the data set's order."""
    examples: Mapping[str, Example]
    """By problem id."""
    grades: Mapping[tuple[str, NodePath], bool]
    """Whether a candidate is right, by problem id and path; absent: not graded."""
    summary: Summary
    method: str | None = None
    """Equal for runs that differ by n and seed alone; None: not known, as of an import."""
    greedy: bool = False
    """One sample at temperature 0: drawn as the baseline."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and greatest score by verifier name; 0 to 1 for one not named."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Model, machine, versions, as they are to be read."""
    recipe: str = ""
    """The recipe's text."""

    @property
    def selector(self) -> str:
        """The selector that chose this run's answers; OWN where it took several, or could."""
        took = {trace.selector for trace in self.traces}
        own = len(took) > 1 or self.strategy == ComputeOptimal.name
        return OWN if own else next(iter(took), "majority")

    @property
    def asked(self) -> int:
        """Problems that the run holds, finished or not."""
        return len(self.examples.keys() | {trace.problem_id for trace in self.traces})

    @property
    def headline(self) -> Point | None:
        """Accuracy of the run's own selector at its largest N, with its interval.

        Where the summary has none, the share of right chosen answers, without an interval. None
        where no problem is finished.
        """
        found = self.summary.at_largest(self.selector)
        if found is not None:
            return found[1]
        right = [self.right(trace) is True for trace in self.traces]
        return Point(accuracy=fmean(right)) if right else None

    @property
    def random_choice(self) -> float | None:
        """Mean accuracy of one candidate: what choosing at random would get. None: not graded."""
        shares = [self._share_right(trace) for trace in self.traces]
        return fmean(shares) if shares and self.grades else None

    def right(self, trace: Trace) -> bool | None:
        """Whether the chosen answer is right; None when it is not graded."""
        if trace.chosen is None:
            return False if self.graded(trace) else None
        return self.grades.get((trace.problem_id, trace.chosen))

    def graded(self, trace: Trace) -> bool:
        """Its problem has a reference to grade by."""
        example = self.examples.get(trace.problem_id)
        return example is not None and example.reference is not None

    def _share_right(self, trace: Trace) -> float:
        paths = [candidate.path for candidate in trace.candidates]
        right = [self.grades.get((trace.problem_id, path), False) for path in paths]
        return fmean(right) if right else 0.0


class MethodRow(NamedTuple):
    """One line of the comparison of methods; costs are means a problem, None is not told."""

    name: str
    problems: int
    """The finished ones."""
    asked: int
    """Those that the run holds."""
    accuracy: float | None
    low: float | None
    high: float | None
    random_choice: float | None
    generated: float | None
    verifier: float | None
    seconds: float | None


def method_row(run: RunView) -> MethodRow:
    """The comparison's line of one run."""
    point = run.headline
    return MethodRow(
        name=run.name,
        problems=len(run.traces),
        asked=run.asked,
        accuracy=None if point is None else point.accuracy,
        low=None if point is None else point.ci_low,
        high=None if point is None else point.ci_high,
        random_choice=run.random_choice,
        generated=_mean(run.traces, lambda spent: spent.generated),
        verifier=_mean(run.traces, lambda spent: spent.verifier),
        seconds=_mean(run.traces, lambda spent: spent.seconds),
    )


def problems_apart(rows: Sequence[MethodRow]) -> bool:
    """Whether methods differ in how many problems they hold, or one is unfinished."""
    return len({count for row in rows for count in (row.problems, row.asked)}) > 1


def warnings(runs: Sequence[RunView]) -> tuple[str, ...]:
    """One line for each share of ruined samples above `WARNING_SHARE`, with the mend.

    Runs that chose from the same samples share a line.
    """
    named: dict[str, list[str]] = {}
    for run in runs:
        told = (
            (
                run.summary.truncated,
                "samples end at max_tokens: `ponder run --max-tokens` raises it",
            ),
            (run.summary.unanswered, "samples state no answer that can be read: see the prompt"),
        )
        for ruined, mend in told:
            if ruined is not None and ruined > WARNING_SHARE:
                named.setdefault(f"{share(ruined)} of {mend}", []).append(run.name)
    return tuple(f"{', '.join(names)}: {line}" for line, names in named.items())


def _mean(traces: tuple[Trace, ...], cost: Callable[[Spent], float | None]) -> float | None:
    """Mean a problem; None when any problem does not tell."""
    told = [value for trace in traces if (value := cost(trace.spent)) is not None]
    return fmean(told) if told and len(told) == len(traces) else None
