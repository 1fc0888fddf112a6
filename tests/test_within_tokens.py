"""Stored samples at the tokens that another run spent, problem by problem."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.budget import MINIMUM_GRANT
from ponder.errors import UsageError
from ponder.evals.cost_curves import Named
from ponder.evals.curves import expected
from ponder.evals.graded import GradedCandidate, GradedProblem
from ponder.evals.within_tokens import ORDERS, Reference, bought, brought
from tests.test_cli import PLAY, data, failing, ponder  # noqa: F401  a fixture among them
from tests.test_equal_cost import run

LETTERS = "rrab"


def problem(letters: str, *tokens: int) -> GradedProblem:
    """A sample a letter; "r" is right."""
    costs = tokens if len(tokens) == len(letters) else tokens * len(letters)
    pairs = zip(letters, costs, strict=True)
    return GradedProblem("p", tuple(GradedCandidate(key, 0.5, key == "r", t) for key, t in pairs))


@pytest.mark.parametrize("selector", ["majority", "best_of_n", "weighted", "oracle"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_even_samples_are_a_random_subset(selector: str, count: int) -> None:
    own = problem(LETTERS, 100)
    exact = expected([own], selector, count)["p"].value
    found = bought(own, selector, 100 * count)
    assert (found.samples, found.tokens, found.used_up) == (count, 100 * count, False)
    assert found.accuracy == pytest.approx(exact, abs=4 * 0.5 / ORDERS**0.5)


@pytest.mark.parametrize(
    ("tokens", "samples", "used"),
    [
        (215, 2, 200),  # 15 are below the least that is granted: no third sample begins
        (216, 2, 216),  # the third is cut
        (299, 2, 299),
        (300, 3, 300),
        (99, 0, 99),
    ],
)
def test_a_sample_that_is_cut_spends_and_has_no_vote(tokens: int, samples: int, used: int) -> None:
    found = bought(problem("rrrr", 100), "oracle", tokens)
    assert (found.samples, found.tokens) == (samples, used)
    assert found.accuracy == (samples > 0)


def test_all_samples_count_where_they_are_fewer_tokens() -> None:
    own = problem("aabrr", 10, 20, 300, 40, 50)
    found = bought(own, "majority", 440)
    assert (found.samples, found.tokens, found.used_up) == (5, 420, True)
    assert found.accuracy == pytest.approx(0.5, abs=4 * 0.5 / ORDERS**0.5)  # a tie of two


@given(
    st.lists(st.tuples(st.sampled_from("rab"), st.integers(1, 60)), min_size=1, max_size=8),
    st.integers(1, 400),
)
def test_never_more_than_there_is_to_spend(samples: list[tuple[str, int]], tokens: int) -> None:
    own = problem("".join(key for key, _ in samples), *(cost for _, cost in samples))
    found = bought(own, "weighted", tokens)
    assert found.tokens <= tokens
    assert 0 <= found.samples <= len(samples)
    assert found == bought(own, "weighted", tokens)
    if sum(cost for _, cost in samples) + MINIMUM_GRANT <= tokens:
        assert found.used_up


def test_runs_of_several_seeds_count_with_their_mean_on_the_references_problems() -> None:
    runs = [run("rr", "ab", tokens=10), run("ab", "rr", tokens=30)]
    method, row = brought(Named("s", "majority", runs), Reference("beams", {"p0": 60}))
    assert method.values == {"p0": 0.5}
    assert (method.runs, method.n, method.answers) == (2, 2, None)
    assert row["tokens"] == fmean([20, 60])
    assert (row["samples"], row["used_up"]) == (2, 1)


def test_a_search_spends_what_it_spent() -> None:
    search = run("rr", "ab", tokens=50, strategy="beam_search")
    method, row = brought(Named("b", "oracle", [search]), Reference("c", {"p0": 10}))
    assert method.values == {"p0": 1.0}
    assert (row["samples"], row["tokens"]) == (None, 100)


def test_samples_of_which_some_are_a_search_are_refused() -> None:
    sampled, search = run("ra", "rb"), run("ra", strategy="dvts")
    problems = (sampled.problems[0], replace(sampled.problems[1], exchangeable=False))
    mixed = replace(sampled, problems=problems)
    for runs in ([mixed], [sampled, search]):
        with pytest.raises(UsageError, match=r"s: problem 'p[01]' is not of independent samples"):
            brought(Named("s", "majority", runs), Reference("beams", {"p0": 60, "p1": 60}))


def test_what_cannot_be_told_is_said() -> None:
    sampled, reference = Named("s", "majority", [run("ra")]), Reference("beams", {"p0": 60})
    untold = replace(problem("r", 1), candidates=(GradedCandidate("r", None, True),))
    with pytest.raises(UsageError, match="a sample of problem 'p' does not tell its tokens"):
        bought(untold, "majority", 100)
    with pytest.raises(UsageError, match="s and beams have no problem in common"):
        brought(sampled, Reference("beams", {"other": 60}))
    search = Named("b", "majority", [run("ra", strategy="dvts")])
    with pytest.raises(UsageError, match="b and beams have no problem in common"):
        brought(search, Reference("beams", {"other": 60}))
    with pytest.raises(UsageError, match="no figures for the selector 'weighted'"):
        brought(Named("s", "weighted", [run("ra")]), reference)


def test_the_command_gives_samples_the_tokens_of_a_search(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["run", *PLAY, "--dataset", data, "--verifier", "tests.playing:judged"]
    assert ponder(*common, "--n", 8, "-o", tmp_path / "sampled") == 0
    beams = ["--strategy", "beam_search", "--set", "knobs.beam_width=2", "--n", 4]
    assert ponder(*common, *beams, "-o", tmp_path / "beams") == 0
    capsys.readouterr()
    words = ["compare", tmp_path / "beams", tmp_path / "sampled", "--selector", "weighted"]
    equal = ["--equal-tokens", tmp_path / "beams"]
    assert ponder(*words, *equal, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    searched, sampled = found["equal_tokens"]["methods"]
    assert searched["tokens"] == found["equal_tokens"]["tokens"]
    assert sampled["tokens"] <= searched["tokens"]
    assert 0 < sampled["samples"] < 8
    assert found["methods"][1]["n"] == sampled["samples"]
    assert found["pairs"][0]["n_problems"] == 6
    assert ponder(*words, *equal) == 0
    assert "200 random orders" in capsys.readouterr().out
    other = tmp_path / "other.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    other.write_text("".join(json.dumps({**row, "problem": "Else?"}) + "\n" for row in rows))
    assert ponder(*common, "--dataset", other, *beams, "-o", tmp_path / "else") == 0
    capsys.readouterr()
    status, line = failing(capsys, *words, "--equal-tokens", tmp_path / "else")
    assert status == 2
    assert "another problem under the id" in line
    assert failing(capsys, *words, *equal, "--n", 4) == (
        2,
        f"ponder: --n 4 and --equal-tokens {tmp_path / 'beams'} exclude each other: give one\n",
    )
