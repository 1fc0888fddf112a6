import math
import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, permutations, product
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.evals import subsets, subtrees
from ponder.evals.curves import available, expected, first_n, selected, sizes, subset_tokens
from ponder.evals.expectations import EXPECTATIONS
from ponder.evals.graded import GradedCandidate, GradedProblem
from ponder.evals.intervals import mean_interval, paired_difference
from ponder.search.selection import SELECTORS

KEYS = ("a", "b", "c", None)
SCORES = (1.0, 1.1, 1.23, None)
"""Sums of up to four tie only between groups of equal size, so a random order decides evenly."""

candidates = st.builds(
    GradedCandidate, st.sampled_from(KEYS), st.sampled_from(SCORES), st.booleans()
)
problems = st.lists(candidates, min_size=1, max_size=6).map(lambda own: GradedProblem("p", (*own,)))


def is_right(chosen: Sequence[GradedCandidate], selector: str) -> bool:
    if selector == "oracle":
        return any(candidate.correct for candidate in chosen)
    index = SELECTORS[selector]([candidate.ballot for candidate in chosen])
    return index is not None and chosen[index].correct


def pool(votes: str, right: str, scores: Sequence[float | None] = ()) -> GradedProblem:
    """A candidate a letter of `votes`, "-" for no answer; right if its letter is in `right`."""
    own = [
        GradedCandidate(
            None if letter == "-" else letter, scores[i] if scores else None, letter in right, 10
        )
        for i, letter in enumerate(votes)
    ]
    return GradedProblem(votes, tuple(own))


def random_pool(count: int, seed: int = 0) -> GradedProblem:
    draw = random.Random(seed)
    keys = [str(int(draw.paretovariate(0.6))) for _ in range(count)]
    own = [GradedCandidate(key, draw.random(), key == "1", 10) for key in keys]
    return GradedProblem(f"{count}-{seed}", tuple(own))


@pytest.mark.parametrize("selector", EXPECTATIONS)
@given(problem=problems, size=st.integers(1, 4))
def test_expectations_equal_the_mean_over_every_ordered_subset(
    selector: str, problem: GradedProblem, size: int
) -> None:
    size = min(size, len(problem.candidates))
    drawn = [is_right(order, selector) for order in permutations(problem.candidates, size)]
    estimate = EXPECTATIONS[selector](problem)(size, 0)
    assert estimate.value == pytest.approx(fmean(drawn), abs=1e-9)
    assert estimate.mc_stderr == 0


@pytest.mark.parametrize("selector", EXPECTATIONS)
@pytest.mark.parametrize(
    ("count", "draws"), [(24, 3_000), pytest.param(256, 100_000, marks=pytest.mark.long)]
)
def test_expectations_of_larger_pools_equal_random_subsets(
    selector: str, count: int, draws: int
) -> None:
    problem = random_pool(count)
    draw = random.Random(1)
    for size in (count // 8, count // 2):
        estimate = EXPECTATIONS[selector](problem)(size, 0)
        drawn = [is_right(draw.sample(problem.candidates, size), selector) for _ in range(draws)]
        noise = math.hypot(0.5 / math.sqrt(draws), estimate.mc_stderr)
        assert estimate.value == pytest.approx(fmean(drawn), abs=4.5 * noise)


def test_a_tie_of_k_counts_one_in_k() -> None:
    for selector in ("majority", "best_of_n", "weighted"):
        problem = pool("abc", right="a", scores=(0.5, 0.5, 0.5))
        assert EXPECTATIONS[selector](problem)(3, 0).value == pytest.approx(1 / 3)
    uneven = pool("abb", right="a", scores=(0.3, 0.1, 0.2))
    assert EXPECTATIONS["weighted"](uneven)(3, 0).value == pytest.approx(1 / 2)


def test_majority_of_256_votes_is_as_exact_as_of_few() -> None:
    even = pool("a" * 128 + "b" * 128, right="a")
    for size in (1, 2, 64, 255, 256):
        assert EXPECTATIONS["majority"](even)(size, 0).value == pytest.approx(0.5, abs=1e-9)
    single = GradedProblem("p", tuple(GradedCandidate(str(i), None, i == 0) for i in range(256)))
    for size in (1, 16, 256):
        assert EXPECTATIONS["majority"](single)(size, 0).value == pytest.approx(1 / 256, abs=1e-9)


@pytest.mark.parametrize("size", [5, 64, 128, 200])
def test_majority_of_256_votes_is_the_multivariate_hypergeometric_sum(size: int) -> None:
    """Groups of 96, 90 and 50 votes and 20 without one; whole numbers, no rounding."""
    groups, blanks = (96, 90, 50), 20
    won = Fraction(0)
    for counts in product(*(range(min(votes, size) + 1) for votes in groups)):
        left = size - sum(counts)
        if 0 <= left <= blanks and counts[0] and counts[0] == max(counts):
            ways = math.prod(map(math.comb, groups, counts)) * math.comb(blanks, left)
            won += Fraction(ways, counts.count(max(counts)))
    letters = "a" * 96 + "b" * 90 + "c" * 50 + "-" * 20
    found = EXPECTATIONS["majority"](pool(letters, right="a"))(size, 0)
    assert found.value == pytest.approx(float(won / math.comb(256, size)), abs=1e-9)


@pytest.mark.parametrize("selector", EXPECTATIONS)
@pytest.mark.parametrize("right", [True, False])
def test_what_is_certain_is_exactly_so(selector: str, right: bool) -> None:
    """Majority is computed by a Fourier transform, best of N by a sum of quotients: both round."""
    own = [GradedCandidate(str(i % 3), i / 7, right) for i in range(7)]
    at = EXPECTATIONS[selector](GradedProblem("p", tuple(own)))
    assert {at(size, 0).value for size in range(1, 8)} == {float(right)}


def test_monte_carlo_agrees_with_enumeration_within_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = random_pool(14)
    exact = [EXPECTATIONS["weighted"](problem)(size, 0).value for size in range(1, 14)]
    monkeypatch.setattr(subsets, "ENUMERATED", 1)
    drawn = [EXPECTATIONS["weighted"](problem)(size, 0) for size in range(1, 14)]
    for value, estimate in zip(exact, drawn, strict=True):
        assert 0 < estimate.mc_stderr < 0.01
        assert estimate.value == pytest.approx(value, abs=4 * estimate.mc_stderr)


def test_monte_carlo_errors_of_problems_add_up_as_independent_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All problems share draws; 0.8 to 1.25 and 4 standard errors are what chance allows here."""
    pools = [random_pool(14, seed) for seed in range(200)]
    exact = [EXPECTATIONS["weighted"](problem)(5, 0).value for problem in pools]
    monkeypatch.setattr(subsets, "ENUMERATED", 1)
    drawn = [EXPECTATIONS["weighted"](problem)(5, 0) for problem in pools]
    errors = [e.value - value for e, value in zip(drawn, exact, strict=True) if e.mc_stderr > 0]
    expected_errors = [e.mc_stderr for e in drawn if e.mc_stderr > 0]
    assert len(errors) > 150
    squares = fmean((own / of) ** 2 for own, of in zip(errors, expected_errors, strict=True))
    assert 0.8**2 < squares < 1.25**2
    assert abs(math.fsum(errors)) < 4 * math.hypot(*expected_errors)


def test_an_answer_that_nobody_gave_is_worth_less_than_a_negative_sum() -> None:
    problem = pool("ab", right="a", scores=(0.0, -1.0))
    assert EXPECTATIONS["weighted"](problem)(1, 0).value == 0.5
    assert EXPECTATIONS["weighted"](problem)(2, 0).value == 1.0
    assert EXPECTATIONS["weighted"](pool("aab", "b", (-1.0, -1.0, -1.5)))(3, 0).value == 1.0


def test_monte_carlo_depends_on_seed_and_problem_alone() -> None:
    first = EXPECTATIONS["weighted"](random_pool(64))(16, 0)
    assert first.mc_stderr > 0
    assert EXPECTATIONS["weighted"](random_pool(64))(16, 0) == first
    assert EXPECTATIONS["weighted"](random_pool(64))(16, 1) != first


def test_sizes_double_up_to_the_smallest_pool_and_end_with_all_of_it() -> None:
    assert sizes([random_pool(8), random_pool(9)]) == (1, 2, 4, 8)
    assert sizes([random_pool(6)]) == (1, 2, 4, 6)
    assert sizes([random_pool(1), GradedProblem("failed", ())]) == (1,)
    assert sizes([GradedProblem("failed", ())]) == ()


def test_selectors_that_need_scores_are_absent_when_a_problem_has_none() -> None:
    scored, unscored = pool("ab", "a", (0.5, None)), pool("ab", "a")
    failed = GradedProblem("failed", ())
    assert available([scored, failed]) == ("majority", "best_of_n", "weighted", "oracle")
    assert available([scored, unscored]) == ("majority", "oracle")


def test_subsets_of_a_search_are_refused() -> None:
    search = GradedProblem("p", random_pool(4).candidates, exchangeable=False)
    with pytest.raises(UsageError, match="'p' come from a search: it has one N"):
        expected([search], "oracle", 2)


@pytest.mark.parametrize("selector", EXPECTATIONS)
@given(own=st.lists(candidates, max_size=6), size=st.integers(1, 3))
def test_subtrees_are_taken_whole(selector: str, own: list[GradedCandidate], size: int) -> None:
    """Three subtrees two roots wide; one that lost candidates is smaller, or empty."""
    placed = [replace(candidate, root=place) for place, candidate in enumerate(own)]
    groups = [[c for c in placed if c.root // 2 == subtree] for subtree in range(3)]
    chances = []
    for chosen in combinations(groups, size):
        members = tuple(candidate for group in chosen for candidate in group)
        whole = GradedProblem("p", members)
        chances.append(EXPECTATIONS[selector](whole)(len(members), 0).value if members else 0.0)
    cut = subtrees.expected(GradedProblem("p", tuple(placed)), selector, 2, 3, size)
    assert cut.value == pytest.approx(fmean(chances), abs=1e-9)
    assert cut.mc_stderr == 0


def test_a_problem_without_candidates_is_wrong() -> None:
    failed, solved = GradedProblem("failed", ()), pool("a", "a")
    for selector in ("majority", "oracle"):
        assert expected([failed, solved], selector, 1) == {"failed": (0, 0), "a": (1, 0)}
        assert selected([failed, solved], selector) == {"failed": (0, 0), "a": (1, 0)}


def test_first_n_takes_the_first_and_gives_ties_to_the_lowest_index() -> None:
    problem = pool("xbbx", right="b", scores=(0.5, 0.9, 0.9, 1.0))
    assert [first_n([problem], "majority", n) for n in (1, 2, 3, 4)] == [0, 0, 1, 0]
    assert [first_n([problem], "best_of_n", n) for n in (1, 2, 3, 4)] == [0, 1, 1, 0]
    assert [first_n([problem], "oracle", n) for n in (1, 2)] == [0, 1]


def test_tokens_of_a_subset_are_told_only_if_all_are() -> None:
    told = pool("ab", "a")
    untold = GradedProblem("u", (GradedCandidate("a", None, True, None),))
    both = subset_tokens([told, untold, GradedProblem("failed", ())], 2)
    assert both == {"ab": 20, "u": None, "failed": 0}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_interval_holds_its_mean_and_has_a_width(values: list[float]) -> None:
    mean, low, high, stderr = mean_interval(values)
    assert 0 <= low <= mean <= high <= 1
    assert high > low
    assert mean == pytest.approx(fmean(values), abs=1e-9)  # as near to 0 or 1 it is just that
    assert stderr >= 0


def test_the_interval_of_right_and_wrong_is_wilsons() -> None:
    interval = mean_interval([1.0] * 20 + [0.0] * 20)
    assert (interval.low, interval.high) == pytest.approx((0.3519953, 0.6480047), abs=1e-6)
    nothing = mean_interval([0.0] * 40)
    assert (nothing.low, nothing.high) == pytest.approx((0, 0.0876216), abs=1e-6)
    assert mean_interval([1.0] * 40)[:3] == pytest.approx((1, 1 - 0.0876216, 1), abs=1e-6)


@pytest.mark.parametrize("noise", [1e-16, 1e-13, -1e-16])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_rounding_does_not_move_an_interval(value: float, noise: float) -> None:
    exact, off = mean_interval([value] * 100), mean_interval([value + noise] * 100)
    assert off == pytest.approx(exact, abs=1e-9)


def test_values_that_vary_less_determine_the_mean_better() -> None:
    rough, smooth = mean_interval([0.0, 1.0] * 50), mean_interval([0.4, 0.6] * 50)
    assert smooth.high - smooth.low < (rough.high - rough.low) / 3


@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_intervals_cover_the_truth_19_times_in_20(samples: int, accuracy: float) -> None:
    """Problems differ in difficulty (beta with the given mean), each with its share of samples."""
    draw = random.Random(2)
    covered = []
    for _ in range(1000):
        chances = [draw.betavariate(accuracy, 1 - accuracy) for _ in range(100)]
        values = [sum(draw.random() < p for _ in range(samples)) / samples for p in chances]
        interval = mean_interval(values)
        covered.append(interval.low <= accuracy <= interval.high)
    assert 0.93 <= fmean(covered) <= 0.97


@pytest.mark.parametrize(("better", "worse"), [(0.1, 0.1), (0.2, 0.1)])
def test_intervals_of_differences_cover_the_truth_19_times_in_20(
    better: float, worse: float
) -> None:
    draw = random.Random(3)
    covered = []
    for _ in range(1000):
        rolls = [draw.random() for _ in range(200)]
        first = {str(i): float(roll < better) for i, roll in enumerate(rolls)}
        second = {str(i): float(better <= r < better + worse) for i, r in enumerate(rolls)}
        _, low, high = paired_difference(first, second)
        covered.append(low <= better - worse <= high)
    assert 0.93 <= fmean(covered) <= 0.97


def test_a_paired_difference_is_of_the_same_problems() -> None:
    first, second = {"p": 1.0, "q": 1.0, "r": 0.5}, {"r": 0.5, "q": 0.0, "p": 1.0}
    difference, low, high = paired_difference(first, second)
    assert difference == pytest.approx(1 / 3)
    assert -1 <= low < 1 / 3 < high <= 1
    back = paired_difference(second, first)
    assert back == pytest.approx((-difference, -high, -low))
    with pytest.raises(UsageError, match="only one has 's'"):
        paired_difference(first, {**second, "s": 1.0})


def test_equal_methods_still_have_an_interval() -> None:
    same = {str(i): 1.0 for i in range(200)}
    difference, low, high = paired_difference(same, same)
    assert difference == 0
    assert low < 0 < high < 0.02


def test_nothing_has_no_mean() -> None:
    with pytest.raises(UsageError, match="no problems"):
        mean_interval([])
    with pytest.raises(UsageError, match="no problems"):
        paired_difference({}, {})
