"""From run directories to what the tables and the page are drawn from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.errors import StoreError
from ponder.evals.measure import Measured, measure
from ponder.evals.outcomes import Grader
from ponder.evals.summary import summarise
from ponder.report.view import RunView, Summary
from ponder.search.selection import SELECTORS, Aggregation
from ponder.session.ending import ballot
from ponder.store.reading import RunReader
from ponder.trace import Trace


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """One run directory, measured."""

    view: RunView
    measured: Measured
    aggregation: Aggregation
    """How its step scores became one."""


def find_runs(folder: Path) -> list[Path]:
    """The run in `folder`, or those of a sweep in the folders under it, in natural order.

    Raises StoreError when there is none.
    """
    if (folder / "run.sqlite").exists():
        return [folder]
    found = sorted((path.parent for path in folder.rglob("run.sqlite")), key=_natural)
    if not found:
        raise StoreError(f"{folder} holds no run: `ponder run -o {folder}` makes one")
    return found


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """The sort key that puts n=4 before n=16."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def load_run(
    folder: Path,
    name: str | None = None,
    *,
    score: str | None = None,
    aggregation: Aggregation | None = None,
    grader: Grader | None = None,
    greedy: bool = False,
) -> LoadedRun:
    """Read and measure one run; `score` and `aggregation` choose what candidates rank by."""
    with RunReader(folder) as reader:
        traces = tuple(reader.traces())
        examples = {example.problem.id: example for example in reader.examples()}
        grades: dict[Grader, Mapping[tuple[str, tuple[int, ...]], bool]] = {
            "imported": reader.grades("imported"),
            "ours": reader.grades("ours"),
        }
        study = reader.recipe()["study"]
        provenance = reader.provenance()
    kept = study if isinstance(study, dict) else {}
    how: Aggregation = aggregation or kept.get("aggregation") or "last"
    measured = measure(
        examples.values(),
        traces,
        imported=grades["imported"],
        ours=grades["ours"],
        grader=grader,
        n=kept.get("n"),
        score=score or guiding(provenance),
        aggregation=how,
    )
    recipe = folder / "recipe.toml"
    view = RunView(
        name=name or folder.name,
        strategy=str(kept.get("strategy", "pool")),
        traces=traces,
        examples=examples,
        grades=grades[measured.grades],
        summary=Summary.model_validate(summarise(measured), extra="ignore"),
        greedy=greedy,
        ranges=_ranges(provenance),
        provenance={key: _readable(value) for key, value in provenance.items() if key != "prompt"},
        recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
    )
    return LoadedRun(view, measured, how)


def guiding(provenance: Mapping[str, object]) -> str | None:
    """The name of the verifier that guided the run."""
    verifiers = provenance.get("verifiers")
    if isinstance(verifiers, list) and verifiers:
        return str(verifiers[0]["name"])
    return None


def _ranges(provenance: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    verifiers = provenance.get("verifiers")
    infos = verifiers if isinstance(verifiers, list) else []
    return {info["name"]: (info["low"], info["high"]) for info in infos}


def _readable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def loaded(folders: Sequence[Path], **options: object) -> list[LoadedRun]:
    """Every run in the folders, named so that they can be told apart."""
    paths = [path for folder in folders for path in find_runs(folder)]
    names = _names(paths)
    return [load_run(path, name, **options) for path, name in zip(paths, names, strict=True)]  # type: ignore[arg-type]


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ from each other."""
    for parts in range(1, max((len(path.resolve().parts) for path in paths), default=0)):
        names = ["/".join(path.resolve().parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def reselected(run: LoadedRun, name: str, selector: str) -> LoadedRun:
    """The same samples with the answers that another selector chooses."""
    guide = next(iter(run.view.ranges), None)
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
