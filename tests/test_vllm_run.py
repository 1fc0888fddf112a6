"""`ponder run` with the `vllm` engine, from the command line to the graded directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder.store.reading import RunReader
from tests.vllm_models import language_model

SETTINGS = {
    "vllm.max_model_len": 2048,
    "host.vllm.cache_gb": 0.5,
    "host.vllm.eager": "true",
    "sampling.separator": "\n",
    "sampling.max_step_tokens": 32,
}


def run(model: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from ponder.cli import main; main()", "run"]
    command += ["--engine", "vllm", "--model", str(model), "-o", str(folder), "--json", *options]
    command += ["--dataset", "grade-school-report", "--prompt", "grade-school", "--limit", "3"]
    command += ["--strategy", "beam_search", "--verifier", "arithmetic", "--n", "4"]
    command += ["--max-tokens", "64"]
    for key, value in SETTINGS.items():
        command += ["--set", f"{key}={value}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.getbasetemp())


def test_a_beam_search_over_a_data_set(model: Path, tmp_path: Path) -> None:
    """Standard output is the report alone, and vLLM leaves nothing behind on standard error."""
    done = run(model, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["n_problems"] == 3
    assert report["failed"] == 0
    assert "Traceback" not in done.stderr
    with RunReader(tmp_path / "run") as reader:
        traces = list(reader.traces())
    assert len(traces) == 3
    for trace in traces:
        assert len(trace.candidates) == 4
        assert not [node.error for node in trace.nodes if node.error]
        assert trace.spent.generated
        assert trace.spent.cached


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "nothing" in line]
    assert lines
    assert "Traceback" not in done.stderr
