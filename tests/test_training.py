"""Heads, calibration and metrics on features whose answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.training.calibration import Calibration, platt
from ponder.training.contrast import PAIRS_A_PROBLEM, Contrast
from ponder.training.heads import Numbers, averaged
from ponder.training.lbfgs import minimise
from ponder.training.linear import fit, fit_chosen
from ponder.training.metrics import Judged, area_within, auc_of, auc_within, reliability
from ponder.training.network import EPOCHS, train
from ponder.training.rows import Matrix, Rows, Standard, Vector, cross_entropy, sigmoid
from ponder.training.split import fold_of, part_of, splits
from ponder.verifiers.head_file import Dense

SEPARATION = 1.0
"""Distance between the means of two unit normals; the best AUC is Phi(distance / sqrt 2)."""
BAYES = 0.5 * (1 + math.erf(SEPARATION / 2))


def rows(
    count: int, seed: int, width: int = 20, separation: float = SEPARATION, problems: int = 40
) -> Rows:
    """One informative direction among noise, features of very different sizes."""
    rng = np.random.default_rng(seed)
    right = (rng.random(count) < 0.4).astype(np.float64)
    features = rng.standard_normal((count, width))
    features[:, 3] += separation * right
    sizes = 10.0 ** rng.integers(-2, 3, width)
    return Rows(
        (features * sizes + 5).astype(np.float32),
        right,
        np.ones(count),
        rng.integers(0, problems, count),
        np.ones(count),
    )


def judged(rows: Rows, scores: Vector) -> Judged:
    return Judged(scores, rows.targets, rows.problems)


def test_a_contrast_pairs_right_and_wrong_samples_of_a_problem() -> None:
    data = Rows(
        np.zeros((7, 1), dtype=np.float32),
        np.array([1.0, 0, 0, 1, 1, 0.5, 0.5]),
        np.ones(7),
        np.array([0, 0, 0, 1, 1, 2, 2]),
        np.array([2.0, 1, 0, 1, 1, 2, 2]),  # the third row ends no solution
    )
    contrast = Contrast.of(data)
    assert contrast is not None
    pairs = set(zip(contrast.right.tolist(), contrast.wrong.tolist(), strict=True))
    assert pairs == {(0, 1), (5, 6), (6, 5)}  # problem 1 ended one way
    shares = dict(zip(contrast.right.tolist(), contrast.shares, strict=True))
    both = 2**0.5 + 2
    assert shares == pytest.approx({0: 2**0.5 / both, 5: 1 / both, 6: 1 / both})
    assert Contrast.of(data.where(np.array([3, 4]))) is None


def test_the_slope_of_a_contrast_is_that_of_its_loss() -> None:
    data = rows(60, 0, problems=6)
    contrast = Contrast.of(data)
    assert contrast is not None
    logits = np.random.default_rng(1).standard_normal(60)
    loss, slopes = contrast.loss(logits)
    assert loss == pytest.approx(
        fmean(
            math.log1p(math.exp(logits[b] - logits[a])) * share * len(contrast.shares)
            for a, b, share in zip(contrast.right, contrast.wrong, contrast.shares, strict=True)
        )
    )
    for row in (0, 17, 59):
        moved = logits.copy()
        moved[row] += 1e-6
        assert slopes[row] == pytest.approx((contrast.loss(moved)[0] - loss) / 1e-6, abs=1e-5)


def test_many_samples_of_a_problem_are_paired_at_random() -> None:
    data = rows(200, 0, problems=1)
    contrast = Contrast.of(data)
    assert contrast is not None
    assert len(contrast.shares) == PAIRS_A_PROBLEM
    assert contrast.shares.sum() == pytest.approx(1)
    assert set(data.targets[contrast.right]) == {1.0}
    assert set(data.targets[contrast.wrong]) == {0.0}


def test_a_contrast_ranks_within_problems_where_difficulty_drowns_the_rest() -> None:
    """Features: how hard a problem is, seen through much noise, and a weak sign of each sample."""

    def drawn(seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        problem = np.repeat(np.arange(200), 8)
        easy = rng.standard_normal(200)[problem] * 3
        sign = rng.standard_normal(1600)
        right = (rng.random(1600) < 1 / (1 + np.exp(-easy - sign))).astype(np.float64)
        noise = rng.standard_normal((200, 40))[problem] * 3
        seen = np.concatenate([easy[:, None] + noise, sign[:, None] * 0.3 + noise[:, :20]], axis=1)
        features = np.concatenate([seen, rng.standard_normal((1600, 20))], axis=1)
        return Rows(features.astype(np.float32), right, np.ones(1600), problem, np.ones(1600))

    data, unseen = drawn(0), drawn(1)
    within = []
    for contrast in (0.0, 0.7):
        chosen = fit_chosen(data, data.problems % 5, contrast=contrast)
        within.append(area_within(judged(unseen, chosen.linear.logits(unseen.features))))
    plain, contrasted = within
    assert plain is not None
    assert contrasted is not None
    assert contrasted > plain + 0.02


def test_lbfgs_finds_the_minimum_of_a_badly_scaled_quadratic() -> None:
    scales = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
    target = np.arange(5.0)

    def function(point: Vector) -> tuple[float, Vector]:
        away = point - target
        return float(scales @ away**2) / 2, scales * away

    assert minimise(function, np.zeros(5), tolerance=1e-8) == pytest.approx(target, abs=1e-5)


def test_the_fit_is_the_minimum_of_the_stated_function() -> None:
    raw = rows(500, 0)
    data = raw.standardised(raw.standard())
    linear = fit(data, 0.1)
    residuals = sigmoid(linear.logits(data.features)) - data.targets
    slopes = data.features.T @ residuals / len(data) + 0.1 * linear.weights
    assert np.abs(slopes).max() < 2e-4
    assert abs(residuals.mean()) < 2e-4


def standardised(seed: int, separation: float = SEPARATION) -> tuple[Rows, Rows]:
    """To fit to, and to judge by."""
    data, fresh = (
        rows(1500, seed, separation=separation),
        rows(3000, seed + 1, separation=separation),
    )
    # Both must have the same sizes of features, which `rows` draws.
    return data.standardised(data.standard()), fresh.standardised(fresh.standard())


def test_a_linear_head_comes_near_the_bayes_value() -> None:
    data, fresh = standardised(1)
    chosen = fit_chosen(data, data.problems % 5)
    found = auc_of(judged(fresh, chosen.linear.logits(fresh.features)), seed=0)
    assert found["value"] == pytest.approx(BAYES, abs=0.02)
    assert found["ci_low"] is not None
    assert found["ci_high"] is not None
    assert found["ci_low"] < BAYES + 0.01
    assert found["ci_high"] > BAYES - 0.02


def test_a_hidden_layer_learns_what_a_line_cannot() -> None:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((3000, 4)).astype(np.float32)
    right = (features[:, 0] * features[:, 1] > 0).astype(np.float64)
    data = Rows(features, right, np.ones(3000), rng.integers(0, 50, 3000), np.ones(3000))
    first, second, fresh = (data.where(data.problems % 3 == part) for part in range(3))
    straight = auc_of(judged(fresh, fit(first, 0.01).logits(fresh.features)), 0)["value"]
    stopped = train(first, second, 16, seed=0)
    curved = auc_of(judged(fresh, stopped.network.logits(fresh.features)), 0)["value"]
    assert straight is not None
    assert curved is not None
    assert straight < 0.6 < 0.95 < curved


def test_training_stops_early_and_is_the_same_for_the_same_seed() -> None:
    noise, fresh = standardised(7, separation=0.0)
    first, again = train(noise, fresh, 16, seed=3), train(noise, fresh, 16, seed=3)
    assert first.epoch < EPOCHS / 4
    assert first.loss == again.loss
    for part, same in zip(first.network, again.network, strict=True):
        np.testing.assert_array_equal(part, same)
    start = cross_entropy(np.full(len(fresh), 0.0), fresh.targets, fresh.weights)
    assert first.loss < start


def test_a_strong_penalty_is_chosen_for_noise_and_a_weaker_one_for_a_signal() -> None:
    signal, _ = standardised(11)
    noise, _ = standardised(11, separation=0.0)
    folds = signal.problems % 5
    weak, strong = fit_chosen(signal, folds), fit_chosen(noise, noise.problems % 5)
    assert weak.penalty < strong.penalty
    assert weak.losses[weak.penalty] == min(weak.losses.values())


def test_noise_is_no_better_than_chance() -> None:
    data, fresh = standardised(13, separation=0.0)
    chosen = fit_chosen(data, data.problems % 5)
    found = auc_of(judged(fresh, chosen.linear.logits(fresh.features)), seed=0)
    assert found["ci_low"] is not None
    assert found["ci_low"] < 0.5


def test_weights_count_like_repetitions() -> None:
    once = rows(200, 17)
    twice = np.arange(200) < 100
    weights = np.where(twice, 2.0, 1.0)
    weighted = replace(once, weights=weights)
    repeated = once.where(np.concatenate([np.arange(200), np.flatnonzero(twice)]))
    by = weighted.standard()
    np.testing.assert_allclose(by.mean, repeated.standard().mean, rtol=1e-4)
    first = fit(weighted.standardised(by), 0.1)
    second = fit(repeated.standardised(by), 0.1)
    np.testing.assert_allclose(first.weights, second.weights, atol=2e-3)


def test_a_constant_feature_stays_harmless() -> None:
    data = rows(100, 19)
    data.features[:, 0] = 7
    assert np.isfinite(data.standardised(data.standard()).features).all()


def test_calibration_improves_the_brier_score() -> None:
    rng = np.random.default_rng(23)
    truth = rng.standard_normal(4000)
    right = (rng.random(4000) < sigmoid(truth)).astype(np.float64)
    logits = 4 * truth + 2  # overconfident and shifted
    calibration = platt(logits[:2000], right[:2000], np.ones(2000))
    assert calibration.scale == pytest.approx(0.25, abs=0.03)
    assert calibration.shift == pytest.approx(-0.5, abs=0.1)
    places = np.zeros(2000, dtype=np.int64)
    before = Judged(sigmoid(logits[2000:]), right[2000:], places).brier()
    after = Judged(calibration.apply(logits[2000:]), right[2000:], places)
    assert after.brier() < before - 0.02
    assert after.brier() < after.brier_of(float(right.mean()))
    for part in reliability(after):
        if part["count"] > 100:
            assert part["predicted"] == pytest.approx(part["observed"], abs=0.1)


@pytest.mark.parametrize("right", [np.ones(8), np.zeros(8), np.tile([0.0, 1.0], 4)])
def test_calibration_is_finite_for_any_labels(right: Vector) -> None:
    logits = np.where(right > 0, 50.0, -50.0)
    calibration = platt(logits, right, np.ones(8))
    assert math.isfinite(calibration.scale)
    assert math.isfinite(calibration.shift)
    assert calibration.scale > 0


def test_logits_that_point_the_wrong_way_keep_their_ranking() -> None:
    logits = np.linspace(-3, 3, 100)
    calibration = platt(logits, (logits < 0).astype(np.float64), np.ones(100))
    assert (np.diff(calibration.apply(logits)) > 0).all()


def test_logits_that_point_the_wrong_way_mean_the_base_rate() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(4, 1, 2000)
    right = (rng.random(2000) < sigmoid(3.8 - logits)).astype(np.float64)
    predicted = platt(logits, right, np.ones(2000)).apply(logits)
    assert abs(predicted.mean() - right.mean()) < 0.02


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20
    )
)
def test_auc_is_the_share_of_pairs_in_order(items: list[tuple[int, bool, int]]) -> None:
    pairs = [
        (a > b) + (a == b) / 2 for a, right, _ in items for b, other, _ in items if right > other
    ]
    scores, right, problems = (np.array(column) for column in zip(*items, strict=True))
    found = auc_of(Judged(scores.astype(float), right.astype(float), problems), 0)
    assert found["value"] == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_auc_within_ignores_how_hard_problems_are() -> None:
    problems = np.repeat(np.arange(20), 10)
    right = np.tile([1.0, *[0.0] * 9], 20)
    right[100:] = 1 - right[100:]
    by_problem = np.where(problems >= 10, 0.9, 0.1)  # knows the problem, not the sample
    told = Judged(by_problem, right, problems)
    assert auc_of(told, 0)["value"] == pytest.approx(0.9, abs=0.01)
    assert auc_within(told, 0) == {"value": 0.5, "ci_low": 0.5, "ci_high": 0.5}


def test_the_interval_is_over_problems() -> None:
    data = rows(400, 29, problems=400)
    alone = judged(data, data.features[:, 3].astype(np.float64))
    copies = np.repeat(np.arange(400), 10)
    repeated = Judged(alone.scores[copies], alone.right[copies], alone.problems[copies])
    first, second = auc_of(alone, 0), auc_of(repeated, 0)
    assert first["value"] == pytest.approx(second["value"])
    assert first["ci_low"] == pytest.approx(second["ci_low"])


def test_few_problems_have_no_interval() -> None:
    """Of one problem that ended both ways each draw is the same, of two nearly so."""
    scores = np.array([0.1, 0.9, 0.2, 0.3, 0.8])
    right = np.array([0.0, 1, 0, 1, 0])
    for problems in ([0, 0, 0, 0, 0], [0, 0, 1, 1, 1]):
        told = Judged(scores, right, np.array(problems))
        for figure in (auc_of(told, 0), auc_within(told, 0)):
            assert figure["value"] is not None
            assert (figure["ci_low"], figure["ci_high"]) == (None, None)


def test_reliability_counts_everything_once() -> None:
    scores = np.array([0.0, 0.05, 0.1, 0.55, 1.0])
    table = reliability(Judged(scores, np.array([0.0, 1, 1, 0, 1]), np.zeros(5, dtype=np.int64)))
    assert [part["count"] for part in table] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert table[0]["observed"] == 0.5
    assert table[2]["observed"] is None


@given(st.text(max_size=20), st.integers(0, 3))
def test_a_problem_has_one_part_and_one_fold(problem_id: str, seed: int) -> None:
    assert part_of(problem_id, seed) == part_of(problem_id, seed)
    assert 0 <= fold_of(problem_id, seed, 5) < 5


@given(st.lists(st.text(), min_size=1, unique=True), st.integers(0, 3), st.integers(3, 7))
def test_with_folds_a_problem_is_held_out_once(ids: list[str], seed: int, folds: int) -> None:
    heads = splits(ids, seed, folds)
    for parts in zip(*heads, strict=True):
        counts = [parts.count(part) for part in ("held_out", "validation", "train")]
        assert counts == [1, 1, folds - 2]
    assert splits(ids[:1], seed, folds) == [parts[:1] for parts in heads]


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_average_of_heads_gives_the_mean_of_their_calibrated_logits(hidden: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, (40, 6)).astype(np.float32)

    def array(*shape: int) -> Matrix:
        return rng.standard_normal(shape).astype(np.float32)

    def numbers() -> Numbers:
        inner = (Dense(array(6, hidden), array(hidden)),) if hidden else ()
        outer = Dense(array(hidden or 6, 1), array(1))
        calibration = Calibration(float(rng.uniform(0.5, 2)), float(rng.normal()))
        return Numbers(Standard(array(6), np.exp(array(6))), (*inner, outer), calibration)

    def logits(head: Numbers) -> Vector:
        values = head.standard.apply(features)
        for layer in head.dense[:-1]:
            values = np.maximum(values @ layer.weight + layer.bias, 0)
        last = head.dense[-1]
        told = (values @ last.weight + last.bias)[:, 0].astype(np.float64)
        return told * head.calibration.scale + head.calibration.shift

    heads = [numbers() for _ in range(3)]
    mean = np.mean([logits(head) for head in heads], axis=0)
    np.testing.assert_allclose(logits(averaged(heads)), mean, rtol=1e-4, atol=1e-4)
    assert averaged(heads[:1]) is heads[0]


def test_parts_have_their_shares_and_depend_on_the_seed() -> None:
    names = [f"problem {number}" for number in range(2000)]
    parts = [part_of(name, 0) for name in names]
    assert parts.count("train") == pytest.approx(1200, abs=80)
    assert parts.count("validation") == pytest.approx(400, abs=60)
    assert parts != [part_of(name, 1) for name in names]
