"""Reads the base model's states at the end of each distinct step, problem by problem."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ponder.evals.score_many import Watch
from ponder.runner import unwrapped
from ponder.training.base_model import BaseModel, States
from ponder.training.feature_files import KINDS, FeatureFiles
from ponder.training.graded_runs import GradedProblem
from ponder.training.rows import Matrix
from ponder.types import ScoreFailure
from ponder.verifiers.head_file import step_features
from ponder.verifiers.state_reader import SolutionStates

AT_ONCE = 4
"""Problems in flight: enough to fill the model's passes."""


async def extract(
    problems: Sequence[GradedProblem],
    base: BaseModel,
    files: FeatureFiles,
    watch: Watch,
    stop: asyncio.Event,
) -> bool:
    """Bring the features of all problems into `files`; those that are there are not read again.

    The model is opened only if any are missing. Setting `stop` ends after the problems in flight:
    returns whether all are there.
    """
    missing = [files.missing(problem, base.layers) for problem in problems]
    layers = sorted({layer for own in missing for layer in own})
    left = [problem for problem, own in zip(problems, missing, strict=True) if own]
    watch.expect(len(left))
    if not left:
        return True
    states = await asyncio.to_thread(base.open, layers)
    free = asyncio.Semaphore(AT_ONCE)

    async def read(problem: GradedProblem) -> None:
        try:
            await _read(problem, states, layers, files)
        finally:
            free.release()
        watch.advance(1)

    try:
        async with unwrapped(), asyncio.TaskGroup() as group:
            for problem in left:
                await free.acquire()
                if stop.is_set():
                    return False
                group.create_task(read(problem))
    finally:
        await states.aclose()
    return True


async def _read(
    problem: GradedProblem, states: States, layers: Sequence[int], files: FeatureFiles
) -> None:
    # A problem object of its own: its end frees what the reader keeps of the problem.
    own = replace(problem.example.problem)
    found = await states.reduced(own, problem.prefixes, _at_steps)
    features = await asyncio.to_thread(_features, problem, found, len(layers))
    for place, layer in enumerate(layers):
        await asyncio.to_thread(files.save, problem, layer, features[place])


def _at_steps(solution: SolutionStates) -> Matrix:
    """All features of a solution: [kinds, steps, layers * width]."""
    outputs, start, ends = solution
    return np.stack([step_features(outputs, start, ends, kind) for kind in KINDS])


def _features(
    problem: GradedProblem, found: Sequence[Matrix | ScoreFailure], layers: int
) -> Matrix:
    """[layers, steps, kinds, width]; NaN where a solution could not be read."""
    tree = problem.steps
    width = next((one.shape[2] // layers for one in found if isinstance(one, np.ndarray)), 1)
    features = np.full((layers, len(tree.paths), len(KINDS), width), np.nan, dtype=np.float32)
    for way, solution in zip(tree.ways, found, strict=True):
        if isinstance(solution, np.ndarray) and way:
            split = solution.reshape(len(KINDS), len(way), layers, width)
            features[:, list(way)] = split.transpose(2, 1, 0, 3)
    return features
