"""From graded runs to a saved head with honest figures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ponder.errors import UsageError
from ponder.evals.score_many import Watch
from ponder.training.base_model import BaseModel
from ponder.training.extraction import extract
from ponder.training.feature_files import FeatureFiles
from ponder.training.graded_runs import GradedRun, distinct
from ponder.training.heads import fit_head, value_head, with_figures
from ponder.training.held_out import judge, solution_areas
from ponder.training.learning_rows import ReadProblem, joined, rows_of
from ponder.training.rows import Rows
from ponder.training.settings import HeadSettings, TrainingReport
from ponder.training.split import PARTS, Part, part_of
from ponder.verifiers.head_config import TrainingFigures

FEATURES_FOLDER = "features"
REPORT_FILE = "report.json"

Parts = dict[Part, list[ReadProblem]]


class Learnable(NamedTuple):
    """The rows that a head is fitted to and calibrated on."""

    train: Rows
    validation: Rows


@dataclass(frozen=True, slots=True)
class Training:
    """One head to be trained into a folder."""

    runs: Sequence[GradedRun]
    base: BaseModel
    folder: Path
    settings: HeadSettings
    watch: Watch
    """Sees how many problems' features are there."""
    cache: Path | None = None
    """Where features are kept for other heads; None is a folder of the head's own."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Once set, features are read no further than what is in flight."""

    async def train(self) -> TrainingReport | None:
        """Read features, fit, calibrate, judge and save; None if stopped before the fit.

        The same call goes on where another one ended, and uses its features for other settings.
        Raises UsageError where there is too little to learn from.
        """
        start = time.perf_counter()
        problems = [problem for run in self.runs for problem in run.problems]
        whole = await extract(problems, self.base, self._files, self.watch, self.stop)
        if not whole:
            return None
        read = time.perf_counter()
        return await asyncio.to_thread(self._fit, read - start)

    @property
    def _files(self) -> FeatureFiles:
        of = self.base.of
        told = of.name, of.sha256[:12], of.weights, self.base.engine, self.base.computed
        cache = self.cache or self.folder / FEATURES_FOLDER
        return FeatureFiles(cache / "-".join(told).replace(" ", "-"), self.settings.prompt)

    def _fit(self, reading: float) -> TrainingReport:
        start = time.perf_counter()
        parts, names = self._parts()
        rows = self._rows(parts)
        fitted = fit_head(
            rows.train, rows.validation, self.settings.hidden, self.settings.seed, names
        )
        fit = time.perf_counter()
        head = value_head(self.base, self.settings, fitted, self._figures(parts))
        held_out = judge(
            parts["held_out"],
            self.runs,
            head.predict,
            labels=self.settings.labels,
            base_rate=rows.train.base_rate,
            seed=self.settings.seed,
        )
        area, within = solution_areas(parts["validation"], head.predict)
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
            "seed": self.settings.seed,
            "problems": {part: _problems(own) for part, own in parts.items()},
            "solutions": _solutions(parts),
            "steps": len(rows.train),
            "base_rate": rows.train.base_rate,
            "search": fitted.search,
            "calibration": fitted.calibration._asdict(),
            "validation": {
                **fitted.validation,
                "solutions_auc": area,
                "solutions_auc_within": within,
            },
            "held_out": held_out,
            "seconds": {"features": reading, "fit": fit - start, "judging": end - fit},
        }
        (self.folder / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n")
        return report

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

    def _parts(self) -> tuple[Parts, list[str]]:
        """The problems with their features by part, and the id behind each problem's number.

        One question under several ids is one problem: all of it is in one part.
        """
        problems = [problem for run in self.runs for problem in run.problems]
        first: dict[str, str] = {}
        for name, question in sorted((p.id, p.example.problem.question) for p in problems):
            first.setdefault(question, name)
        ids = [first[problem.example.problem.question] for problem in problems]
        names = list(dict.fromkeys(ids))
        numbers = {name: number for number, name in enumerate(names)}
        parts: Parts = {part: [] for part in PARTS}
        for problem, own, name in zip(problems, distinct(problems), ids, strict=True):
            features = self._files.load(problem, self.base.layers, self.settings.features)
            read = ReadProblem(problem, numbers[name], features, own)
            parts[part_of(name, self.settings.seed)].append(read)
        return parts, names

    def _rows(self, parts: Parts) -> Learnable:
        """Each text once to fit to; to calibrate on, the candidates as they were drawn."""
        labels = self.settings.labels
        ends = self.settings.ends
        train = joined([rows_of(p, p.distinct, labels, ends) for p in parts["train"]])
        validation = joined(
            [rows_of(p, p.problem.counted, labels, ends) for p in parts["validation"]]
        )
        held_out = any(problem.problem.counted for problem in parts["held_out"])
        if train is None or validation is None or not held_out:
            counts = ", ".join(f"{_named(part)} {len(own)}" for part, own in parts.items())
            raise UsageError(
                f"too few problems to split into three parts ({counts}), or none of their steps "
                "has a label: sample more problems"
            )
        if not 0 < train.base_rate < 1:
            ended = "right" if train.base_rate else "wrong"
            raise UsageError(
                f"all samples of the training problems ended {ended}: there is nothing to tell "
                "apart; take other problems, or another temperature"
            )
        return Learnable(train, validation)


def _problems(part: Sequence[ReadProblem]) -> int:
    return len({problem.number for problem in part})


def _solutions(parts: Parts) -> dict[Part, int]:
    """Those that count; in training, each text of a problem once."""
    return {
        part: sum(len(p.distinct if part == "train" else p.problem.counted) for p in own)
        for part, own in parts.items()
    }


def _named(part: Part) -> str:
    return part.replace("_", " ")
