"""A policy beside fixed choices at equal tokens: how they are matched, and what is said of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.evals.measure import At
from ponder.evals.mixture import Mixture, mixture
from ponder.evals.policies.equal_tokens import EqualRow, EqualTokens, at_equal_tokens
from ponder.evals.policies.figures import FitAt
from ponder.evals.policies.fit import FitReport, fit
from ponder.evals.policies.fixed import fixed_choices
from ponder.evals.policies.halves import folds
from ponder.evals.policies.ladder import Ladder, Solved
from ponder.evals.policies.options import options_of
from ponder.evals.policies.runs import FittedRun
from tests.test_fitting import PROBLEMS, printed, run_with, world

IDS = PROBLEMS[:100]


def test_samples_mix_the_two_whole_n_around_a_cost_and_searches_the_two_that_ran() -> None:
    assert mixture(27, [10, 40], [1, 4], every=True) == pytest.approx((2, 3, 0.7))
    assert mixture(27, [10, 40], [1, 4], every=False) == pytest.approx((1, 4, 17 / 30))
    assert mixture(40, [10, 40], [1, 4], every=True) == Mixture(4, 4, 0.0)
    assert mixture(95, [80, 160, 300], [8, 16, 32], every=False) == Mixture(8, 16, 0.1875)
    assert Mixture(8, 16, 0.1875).n == 9.5
    assert Mixture(8, 16, 0.25).of({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}) == {
        "a": 0.75,
        "b": 0.25,
    }


@pytest.mark.parametrize("cost", [9.9, 40.1])
def test_nothing_is_extrapolated(cost: float) -> None:
    assert mixture(cost, [10, 40], [1, 4], every=True) is None
    assert mixture(cost, [10], [1], every=False) is None


def test_two_n_of_one_cost_and_a_larger_n_that_costs_less() -> None:
    assert mixture(10, [10, 10], [1, 4], every=False) == Mixture(1, 4, 0.0)
    assert mixture(25, [30, 20], [1, 4], every=False) == Mixture(1, 4, 0.5)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=6), st.floats(0, 1), st.booleans())
def test_a_mixture_costs_what_is_wanted(costs: list[float], place: float, every: bool) -> None:
    """Of sizes that cost evenly more, and of any others, between the least and the most."""
    sizes = [3 * 2**power for power in range(len(costs))]
    spent = [7.0 * size for size in sizes] if every else costs
    wanted = min(spent) + place * (max(spent) - min(spent))
    found = mixture(wanted, spent, sizes, every=every)
    assert found is not None
    assert 0 <= found.share <= 1
    at = dict(zip(sizes, spent, strict=True))
    low, high = (7.0 * n if every else at[n] for n in (found.fewer, found.more))
    assert (1 - found.share) * low + found.share * high == pytest.approx(wanted, rel=1e-6)


def ladder(name: str, *rungs: tuple[int, Sequence[float], float], every: bool = False) -> Ladder:
    """At each n the values of all problems, and the same tokens for each."""
    found = {
        n: Solved(dict(zip(IDS, values, strict=True)), dict.fromkeys(IDS, tokens))
        for n, values, tokens in rungs
    }
    return Ladder(name, tuple(found), found.__getitem__, every)


def right(share: float) -> list[float]:
    """The first problems are right."""
    return [float(place < share * len(IDS)) for place in range(len(IDS))]


CHEAPEST = ladder("cheapest", (1, right(0), 1.0))


def untold(name: str) -> Ladder:
    """Right everywhere, for nobody knows how many tokens."""
    return Ladder(name, (8,), lambda _n: Solved(dict.fromkeys(IDS, 1.0), dict.fromkeys(IDS)))


def beside(policy: Ladder, n: int, other: Ladder) -> EqualRow:
    found = at_equal_tokens(policy, n, [CHEAPEST, other], folds(IDS, 0))
    return next(row for row in found["fixed"] if row["name"] == other.name)


def test_a_fixed_choice_is_mixed_to_what_the_policy_spends() -> None:
    policy = ladder("policy", (8, right(0.5), 100.0))
    row = beside(policy, 8, ladder("beams", (8, right(0.2), 80.0), (16, right(0.4), 160.0)))
    assert (row["n"], row["policy_n"], row["spends"]) == (10, 8, "equal")
    assert (row["tokens"], row["policy_tokens"]) == pytest.approx((100, 100))
    assert row["accuracy"] == pytest.approx(0.75 * 0.2 + 0.25 * 0.4)
    assert row["gain"] == pytest.approx(0.25)
    # 20 problems differ by 0, 20 by 0.75, 10 by 1 and 50 by 0; two as large as the root mean
    # square of these are added, one each way (Bonett and Price 2012).
    added = (20 * 0.75**2 + 10) / 30
    variance = (20 * 0.75**2 + 10 + 2 * added) / 102 - (25 / 102) ** 2
    half = 1.959964 * (variance / 102) ** 0.5
    assert (row["gain_low"], row["gain_high"]) == pytest.approx(
        (25 / 102 - half, 25 / 102 + half), abs=1e-6
    )
    assert row["finding"] == "beaten"


@pytest.mark.parametrize(
    ("share", "tokens", "spends", "finding"),
    [
        (0.3, 100.0, "equal", "beaten"),
        (0.5, 100.0, "equal", "open"),
        (0.7, 100.0, "equal", "better"),
        (0.3, 60.0, "less", "unmatched"),
        (0.5, 60.0, "less", "unmatched"),
        (0.7, 60.0, "less", "better"),
        (0.3, 140.0, "more", "beaten"),
        (0.5, 140.0, "more", "unmatched"),
        (0.7, 140.0, "more", "unmatched"),
    ],
)
def test_what_is_said_of_a_choice(share: float, tokens: float, spends: str, finding: str) -> None:
    """One that cannot be had for as much tells only what holds for as much all the same: better
    though it spends less, or beaten though it spends more."""
    row = beside(
        ladder("policy", (8, right(0.5), 100.0)), 8, ladder("b", (8, right(share), tokens))
    )
    assert (row["spends"], row["finding"]) == (spends, finding)
    assert (row["tokens"], row["policy_tokens"]) == (tokens, 100.0)


@pytest.mark.parametrize(
    ("n", "spends", "policy_n"),
    [(4, "equal", 7.0), (8, "equal", 7.0), (16, "less", 16)],
)
def test_a_search_of_one_n_is_met_by_mixing_the_policys_neighbours(
    n: int, spends: str, policy_n: float
) -> None:
    rungs = ((4, right(0.2), 40.0), (8, right(0.6), 80.0), (16, right(0.8), 160.0))
    row = beside(ladder("policy", *rungs), n, ladder("beams", (8, right(0.1), 70.0)))
    assert (row["spends"], row["policy_n"]) == (spends, policy_n)
    if spends == "equal":
        assert row["policy_tokens"] == pytest.approx(70)
        assert row["gain"] == pytest.approx(0.25 * 0.2 + 0.75 * 0.6 - 0.1)


def test_the_best_fixed_choice_costs_no_more_and_is_chosen_on_the_other_half() -> None:
    """Of many that differ by chance alone, the one that happened to do best is no measure; one
    that is better and dearer may not be taken."""
    rng = random.Random(3)
    coins = [
        ladder(f"coin {number}", (8, [float(rng.random() < 0.5) for _ in IDS], 90.0))
        for number in range(40)
    ]
    dear = ladder("dear", (8, right(1.0), 101.0))
    policy = ladder("policy", (8, right(0.5), 100.0))
    found = at_equal_tokens(policy, 8, [*coins, dear], folds(IDS, 0))
    lucky = max(row["accuracy"] for row in found["fixed"] if row["name"] != "dear")
    assert lucky >= 0.6
    assert abs(found["best_fixed"]["accuracy"] - 0.5) < 0.1
    assert found["best_fixed"]["tokens"] == 90.0


def test_a_gain_that_may_be_chance_is_none() -> None:
    policy, near = ladder("policy", (8, right(0.52), 9.0)), ladder("near", (8, right(0.5), 9.0))
    found = at_equal_tokens(policy, 8, [near], folds(IDS, 0))
    assert found["best_fixed"]["gain"] == pytest.approx(0.02)
    assert not found["better"]


def test_the_nearest_size_and_the_neighbours_of_one() -> None:
    rungs = [(n, right(0.5), 10.0 * n) for n in (2, 4, 8, 16)]
    whole = ladder("beams", *rungs, every=True)
    assert [whole.nearest(tokens).n for tokens in (1, 45, 1000)] == [2, 4, 16]
    assert [whole.around(n).sizes for n in (2, 8, 16)] == [(2, 4), (4, 8, 16), (8, 16)]
    assert whole.around(8).every


def test_all_are_beaten_only_where_each_one_is_and_all_tell_their_tokens() -> None:
    policy, halves = ladder("policy", (8, right(0.5), 100.0)), folds(IDS, 0)
    weak, even = ladder("weak", (8, right(0.2), 100.0)), ladder("even", (8, right(0.5), 100.0))
    assert at_equal_tokens(policy, 8, [weak], halves)["beats_each"]
    assert not at_equal_tokens(policy, 8, [weak, even], halves)["beats_each"]
    assert not at_equal_tokens(policy, 8, [weak, untold("secret")], halves)["beats_each"]


def chosen(name: str, runs: Sequence[FittedRun]) -> Ladder:
    return next(one for one in fixed_choices(runs, PROBLEMS[:2]) if one.name == name)


def test_runs_of_a_sweep_are_one_choice_and_seeds_count_with_their_mean() -> None:
    two = [[True, True], [False, False]]
    four, again = [[True] * 4] * 2, [[True] * 4, [False] * 4]
    runs = [run_with("beam_search", own) for own in (four, two, again)]
    beams = chosen("beam_search, majority", runs)
    assert (beams.sizes, beams.every) == ((2, 4), False)
    assert beams.at(2).solved.values == {"p000": 1.0, "p001": 0.0}
    assert beams.at(4).solved.values == {"p000": 1.0, "p001": 0.5}
    between = beams.at_tokens(25.0)
    assert between is not None
    assert (between.n, between.solved.mean_tokens) == (2.5, 25.0)
    assert between.solved.values == {"p000": 1.0, "p001": 0.125}


def test_knobs_tell_choices_apart() -> None:
    beams = run_with("beam_search", [[True] * 4] * 2)
    wide = replace(beams, study={**beams.study, "knobs": {"beam_width": 2}})
    names = {one.name for one in fixed_choices([beams, wide], PROBLEMS[:2])}
    assert {"beam_search, majority", "beam_search, beam_width = 2, majority"} <= names


def test_samples_can_be_had_at_any_n() -> None:
    """Of three right and one wrong, a vote of two is right with chance 1/2 + 1/2 * 1/2."""
    samples = chosen("sample, majority", [run_with("sample", [[True, True, True, False]] * 2)])
    assert (samples.sizes, samples.every) == ((1, 4), True)
    at = samples.at_tokens(15.0)
    assert at is not None
    assert at.n == 1.5
    assert at.solved.values["p000"] == pytest.approx(0.5 * 0.75 + 0.5 * 0.75)
    assert samples.at_tokens(9.0) is None
    assert samples.at_tokens(41.0) is None


def test_runs_of_samples_count_with_their_mean_where_they_have_so_many() -> None:
    pools = [[[True, True, False, False]] * 2, [[False, False]] * 2]
    samples = chosen("sample, majority", [run_with("sample", own) for own in pools])
    assert samples.sizes == (1, 4)
    assert samples.at(1).solved.values["p000"] == pytest.approx((0.5 + 0) / 2)
    assert samples.at(4).solved.values["p000"] == 1


def at(report: FitReport, n: int) -> FitAt:
    return next(one for one in report["sizes"] if one["n"] == n)


def equal_at_eight(runs: Sequence[FittedRun], samples: int = 3) -> EqualTokens:
    found = at(fit(runs, samples=samples, levels=2).report, 8)["equal_tokens"]
    assert found is not None
    return found


def test_what_the_policy_spends_holds_the_first_samples() -> None:
    """Each sample and each beam has 10 tokens; three samples are drawn first."""
    lucky = [[place % 9 == 0] * 16 for place in range(100)]
    runs = [run_with("sample", lucky), run_with("beam_search", [[True] * 8] * 100)]
    assert at(fit(runs, samples=3).report, 11)["first_samples"]["tokens"] == 110
    assert at(fit(runs, samples=3).report, 8)["first_samples"]["tokens"] == 80


@pytest.mark.parametrize("samples", [3, 4])
def test_a_search_that_ran_once_is_met_by_a_policy_of_fewer_n(samples: int) -> None:
    """Of n = 4 beside 8: one that was fitted, or the first samples alone."""
    narrow, beams, _ = world(matters=True)
    found = equal_at_eight([narrow, beams], samples)
    row = next(row for row in found["fixed"] if row["name"] == "beam_search, majority")
    assert (row["n"], row["tokens"], row["spends"]) == (5, 50, "equal")
    assert row["policy_n"] == pytest.approx(5)


def test_where_the_policy_cannot_be_mixed_either_the_search_is_marked() -> None:
    """It took fewer tokens than the first samples alone."""
    runs = [run_with(name, [[True] * n] * 100) for name, n in (("sample", 4), ("beam_search", 2))]
    found = at(fit(runs, samples=3).report, 5)["equal_tokens"]
    assert found is not None
    row = next(row for row in found["fixed"] if row["name"] == "beam_search, majority")
    assert (row["tokens"], row["policy_tokens"], row["spends"]) == (20, 50, "less")
    assert (row["gain"], row["finding"]) == (0, "unmatched")


def without_tokens(run: FittedRun) -> FittedRun:
    points = {
        selector: {n: At(at.estimates, dict.fromkeys(at.tokens)) for n, at in own.items()}
        for selector, own in run.measured.points.items()
    }
    return replace(run, measured=replace(run.measured, points=points))


def test_a_choice_that_does_not_tell_its_tokens_is_named() -> None:
    """It is never the policy's own here: its answers are all wrong."""
    samples, beams, more = world(matters=True)
    wrong = without_tokens(run_with("dvts", [[False] * 5] * len(PROBLEMS)))
    found = equal_at_eight([samples, beams, more, wrong])
    assert {"dvts, majority", "dvts, weighted"} <= set(found["untold"])
    assert not found["beats_each"]
    assert found["better"]


def test_nothing_is_told_where_the_policy_does_not_tell_its_tokens() -> None:
    samples, beams, _ = world(matters=True)
    report = fit([samples, without_tokens(beams)], samples=3, levels=2).report
    assert at(report, 8)["equal_tokens"] is None
    assert at(report, 8)["first_samples"]["tokens"] is None
    assert "the runs do not tell their tokens" in printed(report)


def test_what_is_printed_where_difficulty_matters() -> None:
    shown = printed(fit(world(matters=True), samples=3, levels=2).report)
    assert "At equal tokens choosing by the first samples gains +" in shown
    assert "The policy beats each fixed choice." in shown


def test_what_is_printed_where_it_does_not() -> None:
    shown = printed(fit(world(matters=False), samples=3, levels=2).report)
    assert "At equal tokens a fixed choice is no worse: the policy gives" in shown
    assert "Not told from the policy: " in shown
    assert "beats each" not in shown


FOUND: Mapping[str, tuple[float, float]] = {
    "one": (0.2, 100.0),
    "two": (0.5, 100.0),
    "three": (0.8, 100.0),
    "four": (0.5, 90.0),
}


def test_each_finding_has_its_line() -> None:
    fixed = [ladder(name, (8, right(share), tokens)) for name, (share, tokens) in FOUND.items()]
    policy = ladder("policy", (8, right(0.5), 100.0))
    equal = at_equal_tokens(policy, 8, [*fixed, untold("five")], folds(IDS, 0))
    report = fit(world(matters=False), samples=3, levels=2).report
    report["sizes"] = [{**at(report, 8), "equal_tokens": equal}]
    shown = printed(report)
    assert "At equal tokens a fixed choice is better: the policy gives -30.0 points" in shown
    assert "The policy beats: one. Better than the policy: three." in shown
    assert "Not told from the policy: two." in shown
    assert "Cannot be had for as many tokens: four (90 less). Tokens not told: five." in shown


def test_the_options_tell_what_the_first_samples_took() -> None:
    options = options_of([run_with("sample", [[True] * 8] * 2)], 3)
    assert {option.choice.n for option in options.at_first} == {3}
    assert [option.tokens for option in options.at_first] == [{"p000": 30.0, "p001": 30.0}] * 3


@pytest.mark.long
def test_a_gain_is_seldom_seen_where_there_is_none() -> None:
    """Of 200 worlds where difficulty does not matter; the limit is 4 standard errors over 2.5 %."""
    seen = sum(equal_at_eight(world(matters=False, seed=seed))["better"] for seed in range(200))
    assert seen <= 0.025 * 200 + 4 * (200 * 0.025 * 0.975) ** 0.5
