"""From run directories to what the tables and the page are drawn from."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from ponder.errors import StoreError, UsageError
from ponder.evals.costs import Costing
from ponder.evals.measure import Measured, measure
from ponder.evals.outcomes import Grader, is_exchangeable, ranking_name
from ponder.evals.pool_runs import IMPORTING
from ponder.evals.pools import STRATEGY
from ponder.evals.repeats import method_of
from ponder.evals.rescore import billed
from ponder.evals.same_problems import Held, check_same_problems
from ponder.evals.summary import natural, summarise
from ponder.report.names import short_names
from ponder.report.view import RunView, Summary
from ponder.search.selection import SELECTORS, Aggregation
from ponder.session.ending import ballot
from ponder.store.reading import Grades, RunReader, holds_run
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.trace import Trace
from ponder.types import Example

NO_PRICES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """One run directory, measured."""

    view: RunView
    measured: Measured
    aggregation: Aggregation
    """How its step scores became one."""
    study: Mapping[str, object]
    """What decided its results."""
    scored_by: str | None = None
    """The verifier whose added scores rank; None: the run's own scores do."""


def find_runs(folder: Path) -> list[Path]:
    """The run in `folder`, or those of a sweep in the folders under it, in natural order.

    Raises StoreError when there is none.
    """
    if holds_run(folder):
        return [folder]
    paths = (path.parent for path in folder.rglob("run.sqlite"))
    found = sorted(paths, key=lambda path: natural(str(path)))
    if not found:
        raise StoreError(f"{folder} holds no run: `ponder run -o {folder}` makes one")
    return found


class _Stored(NamedTuple):
    """What is read of a run directory."""

    folder: Path
    traces: tuple[Trace, ...]
    examples: dict[str, Example]
    grades: dict[Grader, Grades]
    study: Mapping[str, Any]
    host: Mapping[str, Any]
    provenance: Mapping[str, object]
    score_sets: Mapping[str, Mapping[str, Any]]
    """What gave the scores that were added to the candidates, by name."""

    def view(self, name: str | None, grades: Grades, summary: Summary, *, greedy: bool) -> RunView:
        """The run, ready to be drawn."""
        recipe = self.folder / "recipe.toml"
        told = {k: _readable(v) for k, v in self.provenance.items() if k != "prompt"}
        return RunView(
            name=name or self.folder.name,
            strategy=str(self.study.get("strategy", "pool")),
            traces=self.traces,
            examples=self.examples,
            grades=grades,
            summary=summary,
            method=method_of(self.study),
            greedy=greedy,
            ranges=self._ranges(),
            provenance=told,
            recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
        )

    def ranking(self) -> str | None:
        """The scores that rank unless others are chosen: the run's own before any added ones."""
        own = guiding(self.provenance)
        if own is not None or not self.score_sets:
            return own
        return ranking_name(
            replace(c, scores={n: s for n, s in c.scores.items() if n not in self.score_sets})
            for trace in self.traces
            for c in trace.candidates
        )

    def scored_by(self, score: str | None) -> str | None:
        """The name of the verifier of an added set of scores; None for the run's own."""
        added = self.score_sets.get(score or "")
        return None if added is None else str(added["verifier"]["name"])

    @property
    def subtree_width(self) -> int | None:
        """The m of a DVTS; None for anything else."""
        if self.study.get("strategy") != DiverseVerifierTreeSearch.name:
            return None
        knobs = self.study.get("knobs") or {}
        return int(knobs.get("beam_width", DiverseVerifierTreeSearch().beam_width))

    def _ranges(self) -> dict[str, tuple[float, float]]:
        """Least and greatest score, by the name of what gave them."""
        verifiers = self.provenance.get("verifiers")
        own = {info["name"]: info for info in verifiers} if isinstance(verifiers, list) else {}
        added = {name: settings["verifier"] for name, settings in self.score_sets.items()}
        return {name: (info["low"], info["high"]) for name, info in (own | added).items()}


def _stored(folder: Path, score: str | None = None) -> _Stored:
    """What is read of a run; ranked by added scores, its verifier tokens are what these cost."""
    with RunReader(folder) as reader:
        traces = reader.scored_traces()
        if score is not None and score in reader.score_sets():
            traces = billed(reader, traces, score)
        recipe = cast("Mapping[str, Mapping[str, Any]]", reader.recipe())
        return _Stored(
            folder,
            tuple(traces),
            {example.problem.id: example for example in reader.examples()},
            {"imported": reader.grades("imported"), "ours": reader.grades("ours")},
            recipe["study"],
            recipe["host"],
            reader.provenance(),
            reader.score_sets(),
        )


def _arrived(stored: _Stored) -> _Stored:
    """Without the problems that have not come to the run's larger n yet; they are told.

    Independent samples stay, however many there are: the curve ends at the n that all have.
    """
    n, examples = stored.study.get("n"), stored.examples
    if not isinstance(n, int) or stored.study.get("strategy") == STRATEGY:  # imported: as it came
        return stored
    if all(is_exchangeable(trace, examples.get(trace.problem_id)) for trace in stored.traces):
        return stored
    arrived = tuple(trace for trace in stored.traces if trace.n == n)
    if left := len(stored.traces) - len(arrived):
        warnings.warn(
            f"{stored.folder}: {left} of {len(stored.traces)} problems are left out: they have not "
            f"come to n = {n} yet, where the run's own command goes on",
            stacklevel=3,
        )
    return stored._replace(traces=arrived)


def view_of(folder: Path) -> RunView:
    """A run to look at, graded or not, also while it is written; without figures."""
    stored = _stored(folder)
    grades = stored.grades["imported"] or stored.grades["ours"]
    summary = Summary(n_problems=len(stored.traces), curves={})
    return stored.view(None, grades, summary, greedy=False)


def load_run(
    folder: Path,
    name: str | None = None,
    *,
    score: str | None = None,
    aggregation: Aggregation | None = None,
    grader: Grader | None = None,
    greedy: bool = False,
    prices: Mapping[str, float] = NO_PRICES,
    sizes: Sequence[int] = (),
) -> LoadedRun:
    """Read and measure one run; `score` and `aggregation` choose what candidates rank by.

    `prices` for a million tokens, by kind, replace those of the run's recipe. `sizes` are the N to
    look at, by default all that there are.
    """
    stored = _arrived(_stored(folder, score))
    if grader == "imported" and not stored.grades["imported"]:
        raise UsageError(f"{folder} has no imported grades: leave out `--grades imported`")
    if (whole := stored.provenance.get(IMPORTING)) is not None:
        warnings.warn(
            f"{folder}: the import was cut short at {len(stored.traces)} of {whole} problems: "
            "import it again",
            stacklevel=2,
        )
    how: Aggregation = aggregation or stored.study.get("aggregation") or "last"
    measured = measure(
        stored.examples.values(),
        stored.traces,
        imported=stored.grades["imported"],
        ours=stored.grades["ours"],
        grader=grader,
        n=stored.study.get("n"),
        score=score or stored.ranking(),
        aggregation=how,
        subtree_width=stored.subtree_width,
        costing=Costing.of(stored.study, stored.host, stored.provenance, prices),
    )
    if sizes:
        measured = _narrowed(measured, sizes, folder)
    summary = Summary.model_validate(summarise(measured), extra="ignore")
    view = stored.view(name, stored.grades[measured.grades], summary, greedy=greedy)
    return LoadedRun(view, measured, how, stored.study, stored.scored_by(score))


def _narrowed(measured: Measured, sizes: Sequence[int], folder: Path) -> Measured:
    try:
        return measured.narrowed(sizes)
    except UsageError as error:
        raise UsageError(f"{folder}: {error}") from None


def guiding(provenance: Mapping[str, object]) -> str | None:
    """The name of the verifier that guided the run."""
    verifiers = provenance.get("verifiers")
    if isinstance(verifiers, list) and verifiers:
        return str(verifiers[0]["name"])
    return None


def _readable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def loaded(folders: Sequence[Path], **options: object) -> list[LoadedRun]:
    """Every run in the folders, once, named so that they can be told apart."""
    found = [path for folder in folders for path in find_runs(folder)]
    paths = list({path.resolve(): path for path in found}.values())
    names = short_names(paths)
    return [load_run(path, name, **options) for path, name in zip(paths, names, strict=True)]  # type: ignore[arg-type]


def check_together(runs: Sequence[LoadedRun]) -> list[str]:
    """Raise UsageError where equal ids are not equal problems; returns what cannot be checked."""
    return check_same_problems([Held(run.view.name, run.view.examples) for run in runs])


def reselected(run: LoadedRun, name: str, selector: str, score: str | None = None) -> LoadedRun:
    """The same samples with the answers that another selector chooses, by the scores named."""
    guide = score or next(iter(run.view.ranges), None)
    traces = tuple(
        _reselected(trace, selector, guide, run.aggregation) for trace in run.view.traces
    )
    return replace(run, view=replace(run.view, name=name, traces=traces))


def _reselected(
    trace: Trace, selector: str, verifier: str | None, aggregation: Aggregation
) -> Trace:
    ballots = [ballot(candidate, verifier, aggregation) for candidate in trace.candidates]
    index = SELECTORS[selector](ballots)
    chosen = None if index is None else trace.candidates[index]
    return replace(
        trace,
        selector=selector,
        chosen=chosen.path if chosen else None,
        answer=chosen.answer.raw if chosen and chosen.answer else None,
    )
