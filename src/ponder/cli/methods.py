"""The methods that `ponder compare` compares: runs, each with its own selector and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from ponder.cli.terminal import announce
from ponder.errors import UsageError
from ponder.evals.cost_curves import Named
from ponder.evals.repeats import repeats
from ponder.evals.same_problems import Held, check_same_problems
from ponder.evals.within_tokens import Reference
from ponder.report.escape import visible
from ponder.report.names import short_names
from ponder.report.view import SELECTOR_LABELS
from ponder.report.views import LoadedRun, check_together, find_runs, load_run
from ponder.search.selection import Aggregation


class Asked(NamedTuple):
    """One of the command's runs, or folders of them, and how to choose among its samples."""

    folder: Path
    selector: str | None
    """None: each run's own."""
    score: str | None
    """None: the scores that each run ranks by."""
    aggregation: str | None
    """None: each run's own."""


class Chosen(NamedTuple):
    """One run and how answers are chosen in it."""

    run: LoadedRun
    selector: str
    score: str | None
    aggregation: str | None

    @classmethod
    def own(cls, run: LoadedRun) -> Chosen:
        """By the run's own selector and scores."""
        return cls(run, run.view.selector, None, None)


def asked_of(
    folders: Sequence[Path],
    selectors: Sequence[str],
    scores: Sequence[str],
    aggregations: Sequence[str] = (),
) -> list[Asked]:
    """The words of the command side by side: what is given once holds for all.

    Raises UsageError for an unknown selector or aggregation, or where not every one is given once
    or as often as the others.
    """
    for selector in selectors:
        if selector not in SELECTOR_LABELS:
            known = ", ".join(SELECTOR_LABELS)
            raise UsageError(f"unknown selector {selector!r}: use one of {known}")
    for how in aggregations:
        if how not in get_args(Aggregation):
            known = ", ".join(get_args(Aggregation))
            raise UsageError(f"unknown aggregation {how!r}: use one of {known}")
    given = {
        "RUN": folders,
        "`--selector`": selectors,
        "`--score`": scores,
        "`--aggregation`": aggregations,
    }
    many = max(map(len, given.values()))
    for word, values in given.items():
        if len(values) not in (0, 1, many):
            raise UsageError(
                f"{word} is given {len(values)} times for {many} methods: give it once, which "
                "holds for all, or once a method"
            )
    return [
        Asked(
            folders[place % len(folders)],
            *(_at(values, place) for values in (selectors, scores, aggregations)),
        )
        for place in range(many)
    ]


def _at(values: Sequence[str], place: int) -> str | None:
    return values[place % len(values)] if values else None


def chosen_runs(asked: Sequence[Asked], options: Mapping[str, object]) -> list[Chosen]:
    """The runs in the folders, each once a method; a run is read once a way to rank.

    Raises UsageError for runs that hold different problems under one id.
    """
    wanted = dict.fromkeys(
        own._replace(folder=path) for own in asked for path in find_runs(own.folder)
    )
    paths = list(dict.fromkeys(own.folder for own in wanted))
    names = dict(zip(paths, short_names(paths), strict=True))
    runs = {
        (path, score, how): load_run(
            path,
            names[path],
            score=score,
            aggregation=how,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        for path, score, how in dict.fromkeys(
            (own.folder, own.score, own.aggregation) for own in wanted
        )
    }
    note_problems(list(runs.values()))
    found = [(runs[own.folder, own.score, own.aggregation], own) for own in wanted]
    return [
        Chosen(run, own.selector or run.view.selector, own.score, own.aggregation)
        for run, own in found
    ]


def note_problems(runs: Sequence[LoadedRun]) -> None:
    """Say by what problems are matched that hold no question; raises as `chosen_runs` does."""
    for line in check_together(runs):
        announce(visible(line))


def check_reference(chosen: Sequence[Chosen], reference: Reference) -> None:
    """Raise UsageError where the reference holds another problem under an id of the runs."""
    held = {own.run.view.name: own.run.view.examples for own in chosen}
    runs = [Held(name, examples) for name, examples in held.items()]
    check_same_problems([*runs, Held(reference.name, reference.examples)])


def methods_of(chosen: Sequence[Chosen]) -> list[Named]:
    """One method a group of runs that differ by their seed alone, named after its first run.

    Methods of one run are named after their selectors, or scores, or both; the run's name goes
    before where there are others.
    """
    keys = [{**own.run.study, "chosen by": own[1:]} for own in chosen]
    groups = [[chosen[place] for place in places] for places in repeats(keys)]
    names = _names([group[0] for group in groups])
    return [
        Named(name, group[0].selector, [own.run.measured for own in group])
        for name, group in zip(names, groups, strict=True)
    ]


def _names(firsts: Sequence[Chosen]) -> list[str]:
    runs = Counter(own.run.view.name for own in firsts)
    return [
        _in_full(own, firsts, named=len(runs) > 1)
        if runs[own.run.view.name] > 1
        else own.run.view.name
        for own in firsts
    ]


def _in_full(own: Chosen, firsts: Sequence[Chosen], *, named: bool) -> str:
    same = [other for other in firsts if other.run.view.name == own.run.view.name]
    words = [own.run.view.name] if named else []
    if len({other.selector for other in same}) > 1:
        words.append(SELECTOR_LABELS.get(own.selector, own.selector))
    if own.score is not None and len({other.score for other in same}) > 1:
        words.append(own.score)
    if own.aggregation is not None and len({other.aggregation for other in same}) > 1:
        words.append(own.aggregation)
    return ", ".join(words)
