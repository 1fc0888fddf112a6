"""95 % intervals hold the truth in 93 to 97 of 100 simulated pools (docs/statistics.md)."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest

from tests.simulated_pools import (
    ACCURACIES,
    CURVES,
    KINDS,
    SPREAD,
    coverage,
    population,
    values_of,
)

POPULATION = 2_000
REPEATS = 4_000
"""With 1,000 a cell is known to 0.7 points, and of 200 cells a few would be out by chance."""


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_the_simulated_truth_is_what_mathematics_says(accuracy: float) -> None:
    """Of beta(a, b): E[1 - (1 - p) ** N] = 1 - B(a, b + N) / B(a, b)."""
    a, b = SPREAD * accuracy, SPREAD * (1 - accuracy)
    for estimator in (own for own in CURVES if own.selector == "oracle"):
        missed = 1.0
        for k in range(estimator.size):
            missed *= (b + k) / (a + b + k)
        values = values_of(estimator, accuracy, 500)
        assert fmean(values) == pytest.approx(1 - missed, abs=4 * stdev(values) / 500**0.5 + 1e-9)
    assert len(population(accuracy, 500)) == 500


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["majority at N = 4", "one answer a problem", "mean of 3 seeds"])
def test_intervals_hold_the_truth(kind: str, accuracy: float) -> None:
    """The full size is below; 400 repeats of 95 in 100 lie within 91.7 to 98.3 (3 sigma)."""
    values = KINDS[kind](accuracy, 500)
    assert 0.917 <= coverage(values, 100, 400, seed=5) <= 0.983


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_truth_at_every_accuracy(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    populations = [KINDS[kind](accuracy, POPULATION) for accuracy in ACCURACIES]
    within = [values for values in populations if 0.1 <= fmean(values) <= 0.9]
    beyond = [values for values in populations if not 0.1 <= fmean(values) <= 0.9]
    cells, least = [], 1.0
    for problems in (100, 200, 500):
        held = [coverage(values, problems, REPEATS, seed=problems) for values in within]
        cells.append(f"{100 * min(held):.1f} to {100 * max(held):.1f}")
        assert min(held) >= 0.93
        assert max(held) <= 0.97
        least = min([least, *(coverage(own, problems, REPEATS, seed=problems) for own in beyond)])
    with capsys.disabled():
        print(f"\n| {kind} | {' | '.join(cells)} | {100 * least:.1f} |")
    assert least >= 0.85
