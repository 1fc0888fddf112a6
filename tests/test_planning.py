"""What a run will take: a bound that holds, and an interval that holds in nine of ten cases."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from ponder.budget import Budget
from ponder.evals.planning import at_most, forecast, pace_of, pilot_of
from ponder.store.reading import RunReader
from ponder.strategies.base import Most
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.types import Sampling
from tests.test_cli import PLAY, data, ponder  # noqa: F401  a fixture among them

STEPS = Sampling(max_tokens=100, max_step_tokens=30, separator="\n\n")

Draw = Callable[[random.Random], float]
COSTS: dict[str, Draw] = {
    "alike": lambda rng: rng.gauss(1000, 200),
    "lognormal": lambda rng: rng.lognormvariate(6, 0.6),
    "two kinds": lambda rng: rng.gauss(1000, 50) if rng.random() < 0.6 else rng.gauss(2500, 100),
}


@pytest.mark.parametrize("kind", sorted(COSTS))
@pytest.mark.parametrize(
    "repeats", [400, pytest.param(5000, marks=pytest.mark.long)], ids=["400", "5000"]
)
def test_the_total_lies_in_the_interval_of_a_pilot_in_nine_of_ten_runs(
    kind: str, repeats: int
) -> None:
    rng = random.Random(kind)
    inside = 0
    for _ in range(repeats):
        costs = [COSTS[kind](rng) for _ in range(rng.choice([20, 100, 500]))]
        found = forecast(costs[:8], len(costs) - 8, sum(costs[:8]))
        assert found is not None
        inside += found["low"] <= sum(costs) <= found["high"]
    assert 0.86 <= inside / repeats <= 0.97


def test_the_estimate_is_the_mean_of_what_is_known() -> None:
    found = forecast([10.0, 20.0, 30.0], 7, 60.0)
    assert found is not None
    assert found["total"] == 60 + 7 * 20
    assert 60 <= found["low"] < found["total"] < found["high"]
    assert forecast([10.0], 7) is None
    assert forecast([5.0, 5.0], 10) == {"total": 50.0, "low": 50.0, "high": 50.0}
    assert forecast([5.0, 9.0], 0, 14.0) == {"total": 14.0, "low": 14.0, "high": 14.0}
    nothing = forecast([0.0, 1.0, 0.0], 5)
    assert nothing is not None
    assert nothing["low"] == 0.0


def test_more_known_problems_narrow_the_interval() -> None:
    rng = random.Random(2)
    costs = [rng.gauss(100, 20) for _ in range(64)]
    few, many = forecast(costs[:8], 100), forecast(costs, 100)
    assert few is not None
    assert many is not None
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 2


def test_a_pilot_is_a_random_part_of_the_problems() -> None:
    names = [f"p{number}" for number in range(1000)]
    chosen = pilot_of(names, 0)
    assert len(chosen) == 8
    assert chosen == pilot_of(names[::-1], 0)
    assert chosen != pilot_of(names, 1)
    places = [fmean(names.index(name) for name in pilot_of(names, seed)) for seed in range(40)]
    assert 440 < fmean(places) < 560
    assert pilot_of(names[:3], 0) == {"p0", "p1", "p2"}


def test_bounds_are_the_strategies_limits_and_the_budgets() -> None:
    assert at_most(RepeatedSampling(n=4, sampling=STEPS), 10) == Most(40, 4000)
    beams = BeamSearch(n=4, beam_width=2, max_iterations=3, sampling=STEPS)
    assert at_most(beams, 1) == Most(12, 4 * (30 + 30 + 98))
    trees = DiverseVerifierTreeSearch(n=4, max_iterations=2, sampling=STEPS)
    assert at_most(trees, 1) == Most(12, 4 * (30 + 99) + 4 * 100)
    assert at_most(beams, 5, Budget(generated_tokens=100, generations=7)) == Most(35, 500)
    assert at_most(object(), 5) is None  # type: ignore[arg-type]


def test_plan_solves_a_pilot_that_the_run_goes_on_from(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"id": f"q{i}", "problem": f"What is {i}?", "answer": "1"} for i in range(20)]
    questions = tmp_path / "twenty.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run"
    words = ["run", *PLAY, "--dataset", questions, "--n", 4, "-o", folder]
    assert ponder(*words, "--plan") == 0
    shown = capsys.readouterr().out
    assert "20 problems, at most 80 samples and 164k generated tokens" in shown
    assert "Estimated from 8 finished problems" in shown
    with RunReader(folder) as reader:
        pilot = {trace.problem_id for trace in reader.traces()}
        assert len(pilot) == 8
        assert pace_of(reader.provenance(), list(reader.traces())) is not None
    assert ponder(*words, "--plan", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["schema"], plan["n_problems"], plan["known"]) == (1, 20, 8)
    assert plan["at_most"] == {"generations": 80, "generated_tokens": 163840}
    assert plan["estimate"]["generations"] == {"total": 80.0, "low": 80.0, "high": 80.0}
    assert "flops" not in plan["estimate"]
    assert ponder(*words, "--json") == 0
    capsys.readouterr()
    with RunReader(folder) as reader:
        traces = list(reader.traces())
    assert len(traces) == 20
    true = sum(trace.spent.generated or 0 for trace in traces)
    tokens = plan["estimate"]["generated_tokens"]
    assert tokens["low"] <= true <= tokens["high"]
    assert plan["estimate"]["hours"]["total"] > 0

    other = tmp_path / "other"
    words = ["run", *PLAY, "--dataset", questions, "--n", 4, "-o", other]
    assert ponder(*words, "--plan-from", folder, "--json") == 0
    earlier = json.loads(capsys.readouterr().out)
    assert earlier["known"] == 20
    assert earlier["estimate"]["generated_tokens"]["total"] == pytest.approx(true)
    assert ponder(*words, "--n", 8, "--plan-from", folder) == 2
    assert "does not tell what this run takes: n is 4 there, 8 here" in capsys.readouterr().err
    assert not other.exists()
