"""Features of steps on disk: read from the base model once, for any number of heads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ponder.errors import UsageError
from ponder.training.graded_runs import GradedProblem
from ponder.training.rows import Matrix
from ponder.verifiers.head_config import Features, Prompt
from ponder.verifiers.head_file import parts_of

KINDS: tuple[Features, ...] = ("last", "mean", "recent", "question")
"""Kept for each step, in this order."""


@dataclass(frozen=True, slots=True)
class FeatureFiles:
    """A file a problem and layer: [steps, kinds, width], float32, NaN for steps not read.

    A file is named after all that the model read, so that what changed is read again. It appears
    whole: a killed run goes on with the problems that it had not finished.
    """

    folder: Path
    """Of one base model, precision and engine."""
    prompt: Prompt

    def missing(self, problem: GradedProblem, layers: Sequence[int]) -> list[int]:
        """The layers that are not there yet."""
        return [layer for layer in layers if not self._path(problem, layer).exists()]

    def save(self, problem: GradedProblem, layer: int, features: Matrix) -> None:
        """Keep [steps, kinds, width], steps as `problem.steps` numbers them."""
        path = self._path(problem, layer)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.save(file, features)
        partial.replace(path)

    def load(self, problem: GradedProblem, layers: Sequence[int], kind: Features) -> Matrix:
        """[steps, features], as `ponder.verifiers.head_file.step_features` gives them."""
        kept = [self._read(self._path(problem, layer)) for layer in layers]
        numbers = [KINDS.index(part) for part in parts_of(kind)]
        return np.concatenate(
            [layer[:, number] for number in numbers for layer in kept], axis=1, dtype=np.float32
        )

    def _read(self, path: Path) -> Matrix:
        try:
            features: Matrix = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{path} is damaged: remove it, and it is made again: {error}"
            ) from None
        return features

    def _path(self, problem: GradedProblem, layer: int) -> Path:
        asked = problem.example.problem
        read = asked.question if self.prompt == "question" else asked.messages
        content = json.dumps([self.prompt, read, problem.steps.paths, KINDS]).encode()
        name = hashlib.sha256(content).hexdigest()[:24]
        return self.folder / name[:2] / f"{name}.{layer}.npy"
