"""From graded runs to a saved head with honest figures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.evals.score_many import Watch
from ponder.training.base_model import BaseModel
from ponder.training.extraction import extract
from ponder.training.feature_files import FeatureFiles
from ponder.training.graded_runs import GradedProblem, GradedRun, distinct
from ponder.training.heads import (
    FittedHead,
    averaged,
    fit_head,
    mean_told,
    value_head,
    with_figures,
)
from ponder.training.held_out import Predicted, judge, predicted, solution_areas, voting
from ponder.training.learning_rows import ReadProblem, drawn_rate, joined, rows_of
from ponder.training.rows import Rows
from ponder.training.settings import LEAST_FOLDS, HeadSettings, TrainingReport
from ponder.training.split import PARTS, Part, splits
from ponder.verifiers.head_config import TrainingFigures

FEATURES_FOLDER = "features"
REPORT_FILE = "report.json"

Parts = dict[Part, list[ReadProblem]]


class Fitted(NamedTuple):
    """A head that was fitted on one split of the problems."""

    parts: Parts
    head: FittedHead
    validation: list[Predicted]
    held_out: list[Predicted]
    """Empty where other runs judge: they judge the head that is saved."""
    steps: int
    """Rows that it was fitted to."""
    base_rate: float
    """See `Learnable`."""


class Learnable(NamedTuple):
    """The rows that a head is fitted to and calibrated on."""

    train: Rows
    validation: Rows
    base_rate: float
    """Of the training problems' candidates as they were drawn, as those are that judge."""


@dataclass(frozen=True, slots=True)
class Training:
    """One head to be trained into a folder."""

    runs: Sequence[GradedRun]
    """Their problems teach the head."""
    base: BaseModel
    folder: Path
    settings: HeadSettings
    watch: Watch
    """Sees how many problems' features are there."""
    cache: Path | None = None
    """Where features are kept for other heads; None is a folder of the head's own."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Once set, features are read no further than what is in flight."""
    judges: Sequence[GradedRun] = ()
    """Their problems that none of `runs` asks judge the head; empty: a part of `runs`' own."""

    async def train(self) -> TrainingReport | None:
        """Read features, fit, calibrate, judge and save; None if stopped before the fit.

        The same call goes on where another one ended, and uses its features for other settings.
        Raises UsageError where there is too little to learn from.
        """
        start = time.perf_counter()
        problems = [*self._problems, *self._judging]
        whole = await extract(problems, self.base, self._files, self.watch, self.stop)
        if not whole:
            return None
        read = time.perf_counter()
        return await asyncio.to_thread(self._fit, read - start)

    @property
    def _problems(self) -> list[GradedProblem]:
        """What the head learns from, and is judged by if there are no other judges."""
        return [problem for run in self.runs for problem in run.problems]

    @property
    def _judging(self) -> list[GradedProblem]:
        """The judges' problems, but those whose question the head knows from training."""
        known = {problem.example.problem.question for problem in self._problems}
        found = [
            problem
            for run in self.judges
            for problem in run.problems
            if problem.example.problem.question not in known
        ]
        if self.judges and not found:
            folders = ", ".join(str(run.folder) for run in self.judges)
            raise UsageError(
                f"{folders}: every problem is among those to train on: hold out another run"
            )
        return found

    @property
    def _files(self) -> FeatureFiles:
        of = self.base.of
        told = of.name, of.sha256[:12], of.weights, self.base.engine, self.base.computed
        cache = self.cache or self.folder / FEATURES_FOLDER
        return FeatureFiles(cache / "-".join(told).replace(" ", "-"), self.settings.prompt)

    def _fit(self, reading: float) -> TrainingReport:
        start = time.perf_counter()
        problems, judging, names = self._read()
        fitted = [self._fitted(parts, names) for parts in self._splits(problems, judging, names)]
        fit = time.perf_counter()
        parts = fitted[0].parts
        if len(fitted) > 1:  # each problem has every part for some head
            parts = {**dict.fromkeys(PARTS, problems), "held_out": judging or problems}
        numbers = averaged([one.head.numbers for one in fitted])
        head = value_head(self.base, self.settings, numbers, self._figures(parts))
        base_rate = fmean(one.base_rate for one in fitted)
        alone = [told for one in fitted for told in one.held_out]
        held_out = judge(
            predicted(judging, head.predict) if judging else alone,
            [*self.runs, *self.judges],
            labels=self.settings.labels,
            base_rate=base_rate,
            seed=self.settings.seed,
        )
        validation = [told for one in fitted for told in one.validation]
        area, within = solution_areas(validation)
        end = time.perf_counter()
        with_figures(head, held_out).save(self.folder)
        report: TrainingReport = {
            "schema": 1,
            "head": str(self.folder),
            "base": self.base.of.name,
            "layers": list(self.base.layers),
            "features": self.settings.features,
            "prompt": self.settings.prompt,
            "labels": self.settings.supervision,
            "ends": self.settings.ends,
            "hidden": self.settings.hidden,
            "contrast": self.settings.contrast,
            "folds": self.settings.folds,
            "seed": self.settings.seed,
            "held_out_runs": [str(run.folder) for run in self.judges],
            "problems": {part: _problems(own) for part, own in parts.items()},
            "solutions": _solutions(parts),
            "steps": round(fmean(one.steps for one in fitted)),
            "base_rate": base_rate,
            "search": [one.head.search for one in fitted],
            "calibration": [one.head.numbers.calibration._asdict() for one in fitted],
            "validation": {
                **mean_told([one.head.validation for one in fitted]),
                "solutions_auc": area,
                "solutions_auc_within": within,
                "voting": voting(validation, self.runs, self.settings.seed),
            },
            "held_out": held_out,
            "seconds": {"features": reading, "fit": fit - start, "judging": end - fit},
        }
        (self.folder / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n")
        return report

    def _fitted(self, parts: Parts, names: Sequence[str]) -> Fitted:
        """One head, and what it says of the problems that it was not taught."""
        rows = self._rows(parts)
        head = fit_head(rows.train, rows.validation, self.settings, names, base_rate=rows.base_rate)
        served = value_head(self.base, self.settings, head.numbers, self._figures(parts))
        return Fitted(
            parts,
            head,
            predicted(parts["validation"], served.predict),
            [] if self.judges else predicted(parts["held_out"], served.predict),
            len(rows.train),
            rows.base_rate,
        )

    def _figures(self, parts: Parts) -> TrainingFigures:
        """What is known before judging."""
        return TrainingFigures(
            problems=_problems(parts["train"]),
            samples=_solutions(parts)["train"],
            held_out_problems=_problems(parts["held_out"]),
            auc=None,
            seed=self.settings.seed,
            data="; ".join(dict.fromkeys(run.source for run in self.runs)),
        )

    def _read(self) -> tuple[list[ReadProblem], list[ReadProblem], list[str]]:
        """What is learned from, what the judges add, and the id behind each problem's number.

        One question under several ids is one problem: all of it is in one part. Several questions
        under one id, of different data sets, are as many problems.
        """
        learned = self._problems
        problems = [*learned, *self._judging]
        first: dict[str, str] = {}
        for name, question in sorted((p.id, p.example.problem.question) for p in problems):
            first.setdefault(question, name)
        questions = [problem.example.problem.question for problem in problems]
        numbers = {question: number for number, question in enumerate(dict.fromkeys(questions))}
        names = [first[question] for question in numbers]
        read = [
            ReadProblem(
                problem,
                numbers[question],
                self._files.load(problem, self.base.layers, self.settings.features),
                own,
            )
            for problem, own, question in zip(problems, distinct(problems), questions, strict=True)
        ]
        return read[: len(learned)], read[len(learned) :], names

    def _splits(
        self, problems: Sequence[ReadProblem], judging: Sequence[ReadProblem], names: Sequence[str]
    ) -> Iterator[Parts]:
        """For each head, the problems by their part in it; with judges no other is held out."""
        for assigned in splits(names, self.settings.seed, self.settings.folds):
            parts: Parts = {part: [] for part in PARTS}
            for problem in problems:
                parts[assigned[problem.number]].append(problem)
            if judging:
                parts["train"] += parts["held_out"]
                parts["held_out"] = list(judging)
            yield parts

    def _rows(self, parts: Parts) -> Learnable:
        """Each text once to fit to; to calibrate on, the candidates as they were drawn."""
        labels = self.settings.labels
        ends = self.settings.ends
        train = joined([rows_of(p, p.distinct, labels, ends) for p in parts["train"]])
        validation = joined(
            [rows_of(p, p.problem.counted, labels, ends) for p in parts["validation"]]
        )
        held_out = any(problem.judges for problem in parts["held_out"])
        if train is None or validation is None or not held_out:
            raise UsageError(_too_few(parts, self.settings.folds))
        if not 0 < train.base_rate < 1:
            ended = "right" if train.base_rate else "wrong"
            raise UsageError(
                f"all samples of the training problems ended {ended}: there is nothing to tell "
                "apart; take other problems, or another temperature"
            )
        return Learnable(train, validation, drawn_rate(parts["train"], labels, ends))


def _problems(part: Sequence[ReadProblem]) -> int:
    return len({problem.number for problem in part})


def _solutions(parts: Parts) -> dict[Part, int]:
    """Those that count; in training, each text of a problem once."""
    return {
        part: sum(len(p.distinct if part == "train" else p.problem.counted) for p in own)
        for part, own in parts.items()
    }


def _too_few(parts: Parts, folds: int) -> str:
    """Why nothing can be trained or judged, and the mend."""
    counts = ", ".join(f"{_named(part)} {len(own)}" for part, own in parts.items())
    by = f" by `folds` {folds}" if folds else ""
    fewer = "take fewer folds, or " if folds > LEAST_FOLDS else ""
    return (
        f"too few problems to split into three parts{by} ({counts}), or none of a part's steps "
        f"has a label and can be read: {fewer}sample more problems"
    )


def _named(part: Part) -> str:
    return part.replace("_", " ")
