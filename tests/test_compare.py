"""Methods compared on the same problems: p-values, intervals, and what the command prints."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path
from statistics import NormalDist, fmean
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ponder.errors import UsageError
from ponder.evals.compare import Comparison, Method, compare
from ponder.evals.intervals import paired_difference
from ponder.evals.repeats import repeats
from ponder.evals.significance import detectable, holm, mcnemar, sign_flip
from ponder.report.comparison import comparison_report
from ponder.report.views import loaded
from tests.test_cli import PLAY, data, failing, ponder  # noqa: F401  a fixture among them

small = st.lists(st.sampled_from((-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0)), min_size=1, max_size=8)


@given(small)
def test_sign_flips_equal_all_ways_to_put_signs(differences: list[float]) -> None:
    flips = product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    seen = abs(sum(differences))
    above = fmean(total > seen + 1e-9 for total in sums)
    level = fmean(abs(total - seen) <= 1e-9 for total in sums)
    found = sign_flip(differences)
    assert found.p == pytest.approx(above + level)
    assert found.mid_p == pytest.approx(1.0 if seen < 1e-9 else above + level / 2)


def test_random_sign_flips_agree_with_the_binomial_and_repeat() -> None:
    differences = [1.0] * 30 + [-1.0] * 14 + [0.0] * 50
    found = sign_flip(differences)
    assert found == sign_flip(differences)
    assert found.p == pytest.approx(0.0226, abs=0.005)  # exact McNemar: 2 * P(X <= 14 of 44)
    single = mcnemar([True] * 30 + [False] * 14, [False] * 30 + [True] * 14)
    assert found.mid_p == pytest.approx(single.mid_p, abs=0.005)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_mcnemar_is_the_mid_p_of_the_sign_flips(answers: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in answers], [b for _, b in answers]
    found = mcnemar(first, second)
    assert found.first_only - found.second_only == sum(first) - sum(second)
    flipped = sign_flip([float(a) - float(b) for a, b in answers])
    assert found.mid_p == pytest.approx(flipped.mid_p)


def test_mcnemar_gives_the_published_figure() -> None:
    """Fagerland, Lydersen and Laake (2013), table 1: 1 and 7 discordant pairs, mid-p 0.039."""
    assert mcnemar([True] + [False] * 7, [False] + [True] * 7).mid_p == pytest.approx(
        0.0391, abs=1e-4
    )


def test_holm_steps_down_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_detectable_difference_is_found_in_80_of_100() -> None:
    """True difference d, standard error s: P(estimate / s > 1.96) = 0.8."""
    differences = [1.0, -1.0, 0.0, 0.0] * 100
    found = detectable(differences)
    assert found is not None
    normal = NormalDist(found, 0.5**0.5 / 20)
    assert 1 - normal.cdf(1.96 * 0.5**0.5 / 20) == pytest.approx(0.8, abs=0.01)
    assert 0 < (detectable([0.0] * 50) or 0) < 0.2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_difference_above_100_points_is_told(count: int) -> None:
    assert detectable([1.0, -1.0, 1.0][:count]) is None
    right = [float(place % 2) for place in range(count)]
    methods = [method("a", right), method("b", [1 - value for value in right])]
    console = Console(width=100, record=True, file=StringIO())
    console.print(comparison_report(compare(methods)))
    text = console.export_text()
    assert "found at 80 % is - where so few problems" in text
    assert re.search(r"a - b .* -\s*$", text, re.MULTILINE)


def method(name: str, values: Sequence[float], *, first: int = 0) -> Method:
    by_id = {f"p{first + place}": value for place, value in enumerate(values)}
    return Method(name, "majority", 1, 1, by_id, {key: v == 1 for key, v in by_id.items()})


def test_pairs_are_of_common_problems_and_adjusted_together() -> None:
    better, worse = [1.0] * 40 + [0.0] * 10, [1.0] * 20 + [0.0] * 30
    result = compare([method("a", better), method("b", worse), method("c", worse[:45], first=5)])
    ab, ac, bc = result["pairs"]
    assert [(p["first"], p["second"]) for p in (ab, ac, bc)] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert (ab["n_problems"], ab["left_out"]) == (50, 0)
    assert (ac["n_problems"], ac["left_out"]) == (45, 5)
    assert ab["difference"] == pytest.approx(0.4)
    assert ab["mcnemar"] == {"first_only": 20, "second_only": 0, "mid_p": pytest.approx(0.5**20)}
    assert ab["ci_low"] > 0.2
    smallest = min(pair["permutation_mid_p"] for pair in result["pairs"])
    assert min(pair["holm_p"] for pair in result["pairs"]) == pytest.approx(3 * smallest)
    assert [row["n_problems"] for row in result["methods"]] == [50, 50, 45]


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(UsageError, match="needs two methods"):
        compare([method("a", [1.0])])
    repeated = replace(method("a", [1.0]), runs=2)
    with pytest.raises(UsageError, match=r"these 2 runs are one: .* differs by the seed alone"):
        compare([repeated])
    with pytest.raises(UsageError, match="a and b have no problem in common"):
        compare([method("a", [1.0]), method("b", [1.0], first=1)])


def test_runs_that_differ_by_their_seed_are_one_method() -> None:
    studies = [{"n": 4, "seed": 0}, {"n": 8, "seed": 0}, {"n": 4, "seed": 1}]
    assert repeats(studies) == [[0, 2], [1]]


class Rejections(NamedTuple):
    """Shares of simulated comparisons of two equally good methods."""

    plain: float
    mid: float
    mcnemar: float
    covered: float
    """Intervals that hold the true difference, 0."""


def null_comparisons(
    problems: int, discordant: float, samples: int, repeats: int, seed: int
) -> Rejections:
    """Compare two methods with equal chances at each problem.

    `discordant` is the number of problems that single answers are expected to differ on: a share
    of the problems, each with chance 1/2. `samples` are drawn a problem and method; a value is
    their mean, the single answer is the first.
    """
    draw = random.Random(seed)
    counts = [0] * 4
    for _ in range(repeats):
        chances = [0.5 if i < 2 * discordant else float(i % 2) for i in range(problems)]
        drawn = [
            {str(i): [draw.random() < p for _ in range(samples)] for i, p in enumerate(chances)}
            for _ in range(2)
        ]
        values = [{i: fmean(own) for i, own in method.items()} for method in drawn]
        gap = paired_difference(values[0], values[1])
        flipped = sign_flip([values[0][i] - values[1][i] for i in values[0]], resamples=999)
        single = mcnemar(*([own[0] for own in method.values()] for method in drawn))
        p_values = (flipped.p, flipped.mid_p, single.mid_p)
        for place, held in enumerate((*(p <= 0.05 for p in p_values), gap.low <= 0 <= gap.high)):
            counts[place] += held
    return Rejections(*(count / repeats for count in counts))


def test_a_true_null_hypothesis_is_rejected_once_in_twenty() -> None:
    found = null_comparisons(problems=100, discordant=25, samples=1, repeats=200, seed=1)
    assert 0.005 <= found.mid <= 0.1  # 3 sigma about 0.05
    assert 0.005 <= found.mcnemar <= 0.1
    assert found.plain <= found.mid
    assert 0.9 <= found.covered <= 0.995


@pytest.mark.long
@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize("discordant", [5, 10, 20, 50])
@pytest.mark.parametrize("problems", [100, 200, 500])
def test_the_null_rejections_of_the_documentation(
    problems: int, discordant: int, samples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = null_comparisons(problems, discordant, samples, 1000, seed=problems + discordant)
    with capsys.disabled():
        cells = [f"{100 * value:.1f}" for value in found]
        print(f"\n| {problems} | {discordant} | {samples} | {' | '.join(cells)} |")
    assert found.covered >= 0.90
    if discordant >= 20:
        assert 0.93 <= found.covered <= 0.97
        assert 0.03 <= found.mid <= 0.07
        assert 0.03 <= found.mcnemar <= 0.07


def test_the_command_compares_runs_and_their_repetitions(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["run", *PLAY, "--dataset", data, "--verifier", "tests.playing:judged"]
    assert ponder(*common, "--n", 4, "--seeds", 2, "-o", tmp_path / "sampled") == 0
    beams = ["--strategy", "beam_search", "--set", "knobs.beam_width=2", "--n", 4]
    assert ponder(*common, *beams, "-o", tmp_path / "beams") == 0
    capsys.readouterr()
    words = ["compare", tmp_path / "sampled", tmp_path / "beams"]
    assert ponder(*words, "--selector", "oracle", "--json") == 0
    compared = json.loads(capsys.readouterr().out)
    sampled, searched = compared["methods"]
    assert (sampled["runs"], searched["runs"]) == (2, 1)
    assert (sampled["n"], searched["n"]) == (4, 4)
    (pair,) = compared["pairs"]
    assert pair["n_problems"] == 6
    assert pair["mcnemar"] is None  # two runs gave two answers
    assert pair["difference"] == pytest.approx(sampled["accuracy"] - searched["accuracy"])
    assert ponder(*words) == 0
    assert "Holm" in capsys.readouterr().out
    status, line = failing(capsys, *words, "--n", 2)
    assert status == 2
    assert "search, which has one N, 4: run it again for N = 2" in line
    status, line = failing(capsys, "compare", tmp_path / "sampled")
    assert (status, "needs two methods" in line) == (2, True)
    status, line = failing(capsys, *words, "--selector", "best")
    assert "unknown selector 'best'" in line


def test_one_run_is_compared_with_itself_under_other_selectors_and_scores(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "sampled"
    played = ["run", *PLAY, "--dataset", data, "--verifier", "tests.playing:judged", "--n", 8]
    assert ponder(*played, "-o", run) == 0
    assert ponder("score", run, "--verifier", "random", "--name", "chance") == 0
    capsys.readouterr()

    def compared(*words: object) -> Comparison:
        assert ponder("compare", *words, "--json") == 0
        found: Comparison = json.loads(capsys.readouterr().out)
        return found

    two = ["--selector", "oracle", "--selector", "majority"]
    selected = compared(run, *two)
    assert compared(run, run, *two) == selected
    assert [own["name"] for own in selected["methods"]] == ["oracle", "majority"]
    assert [own["accuracy"] for own in selected["methods"]] == [
        loaded([run])[0].view.summary.curves[own][8].accuracy for own in ("oracle", "majority")
    ]
    (pair,) = selected["pairs"]
    assert (pair["n_problems"], pair["mcnemar"] is None) == (6, False)

    scores = ["--score", "function", "--score", "chance"]
    ranked = compared(run, "--selector", "best_of_n", *scores)
    assert [own["name"] for own in ranked["methods"]] == ["function", "chance"]
    assert [own["accuracy"] for own in ranked["methods"]] == [
        loaded([run], score=score)[0].view.summary.curves["best_of_n"][8].accuracy
        for score in ("function", "chance")
    ]
    hows = ["--aggregation", "last", "--aggregation", "mean"]
    summed = compared(run, "--selector", "best_of_n", "--score", "chance", *hows)
    assert [own["name"] for own in summed["methods"]] == ["last", "mean"]
    assert [own["accuracy"] for own in summed["methods"]] == [
        loaded([run], score="chance", aggregation=how)[0]
        .view.summary.curves["best_of_n"][8]
        .accuracy
        for how in ("last", "mean")
    ]
    both = compared(run, *two, *scores)
    assert [own["name"] for own in both["methods"]] == ["oracle, function", "majority, chance"]
    status, line = failing(capsys, "compare", run, run, run, *two)
    assert (status, "`--selector` is given 2 times for 3 methods" in line) == (2, True)
    status, line = failing(capsys, "compare", run, run, "--aggregation", "sum")
    assert (status, "unknown aggregation 'sum': use one of last, min" in line) == (2, True)


def test_other_runs_beside_one_that_is_named_twice(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    played = ["run", *PLAY, "--dataset", data, "--verifier", "tests.playing:judged", "--n", 2]
    for name in ("a", "b"):
        assert (
            ponder(
                *played,
                "--set",
                f"sampling.top_p={0.8 if name == 'a' else 1}",
                "-o",
                tmp_path / name,
            )
            == 0
        )
    capsys.readouterr()
    a, b = tmp_path / "a", tmp_path / "b"
    words = [word for own in ("oracle", "majority", "majority") for word in ("--selector", own)]
    assert ponder("compare", a, b, a, *words, "--json") == 0
    names = [own["name"] for own in json.loads(capsys.readouterr().out)["methods"]]
    assert names == ["a, oracle", "b", "a, majority"]


def test_several_seeds_are_reported_with_their_spread(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 4, "--seeds", 3, "-o", tmp_path / "seeds"]
    assert ponder(*words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (repeated,) = report["repeats"]
    assert (repeated["seeds"], repeated["runs"]) == ([0, 1, 2], [0, 1, 2])
    spread = repeated["spread"]["majority"]["4"]
    accuracies = [run["curves"]["majority"]["4"]["accuracy"] for run in report["runs"]]
    assert spread["mean"] == pytest.approx(fmean(accuracies))
    assert (spread["lowest"], spread["highest"]) == (min(accuracies), max(accuracies))
    assert ponder("report", tmp_path / "seeds") == 0
    assert "between 3 seeds" in capsys.readouterr().out
