"""A head trained on the embedded model's own states, and served from its files."""

from __future__ import annotations

import asyncio
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest

from ponder.backends.models import default_model
from ponder.training.feature_files import FeatureFiles
from ponder.training.graded_runs import read_graded
from ponder.types import ScoreFailure
from ponder.verifiers.head_file import ValueHead
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.test_cli import ponder

pytestmark = pytest.mark.engine

PROBLEMS = 15


def pool(folder: Path) -> Path:
    """Sums and differences; every other candidate is wrong by one from the first step on."""
    rng, rows = random.Random(1), []
    for number in range(PROBLEMS):
        first, second = rng.randint(10, 30), rng.randint(2, 9)
        candidates = [
            {"text": f"{first} + {second} = {total} pens.\n\nThe answer is {total}."}
            for total in (first + second, first + second + 1)
        ]
        question = f"Kim has {first} pens and buys {second} more. How many pens has Kim?"
        rows.append(
            {
                "id": f"p{number}",
                "problem": question,
                "answer": str(first + second),
                "candidates": candidates,
            }
        )
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_trained_head_serves_what_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", tmp_path / "head"
    assert ponder("import", "pool", pool(tmp_path), "-o", run) == 0
    capsys.readouterr()
    words = ["train-verifier", run, "-o", folder, "--model", default_model(), "--json"]
    assert ponder(*words, "--layers", "6,-25") == 2
    assert "layers 6, -25 two are the same" in capsys.readouterr().err
    assert ponder(*words, "--layers", "6,12") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["layers"] == [6, 12]
    assert sum(report["problems"].values()) == PROBLEMS
    asyncio.run(check_served(run, folder, (6, 12)))


async def check_served(run: Path, folder: Path, layers: tuple[int, ...]) -> None:
    """The verifier gives what the head gives for the features that it was trained on."""
    head, verifier = ValueHead.load(folder), ValueHeadVerifier(head=folder)
    files = FeatureFiles(next((folder / "features").iterdir()), "question")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was no better than chance")
        try:
            for problem in read_graded(run).problems[:4]:
                features = files.load(problem, layers, "last+mean")
                scores = await verifier.score(problem.example.problem, problem.prefixes)
                for way, found in zip(problem.steps.ways, scores, strict=True):
                    assert not isinstance(found, ScoreFailure)
                    trained_on = head.predict(features[list(way)])
                    np.testing.assert_allclose(found.scores, trained_on, atol=1e-3)
        finally:
            await verifier.aclose()
