"""Fitting by difficulty: what is chosen, that it is measured elsewhere, and what is said of it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import fmean

import pytest
from rich.console import Console

from ponder.errors import UsageError
from ponder.evals.measure import measure
from ponder.evals.policies.figures import FitAt
from ponder.evals.policies.fit import FitReport, fit
from ponder.evals.policies.fixed import fixed_choices
from ponder.evals.policies.halves import choices_of, crossed, folds, level_edges, solved
from ponder.evals.policies.options import Option, options_of
from ponder.evals.policies.runs import FittedRun
from ponder.report.fitting import fit_report
from ponder.report.views import loaded
from ponder.search.policy import Choice, Policy
from ponder.strategies.policy_file import load_policy, policy_toml
from ponder.trace import Node, Spent, Trace
from ponder.types import Answer, Candidate, Example, NodePath, Problem
from tests.test_cli import PLAY, data, ponder  # noqa: F401  a fixture among them

PROBLEMS = tuple(f"p{number:03}" for number in range(200))
EASE: Mapping[str, float] = {name: (i + 0.5) / 200 for i, name in enumerate(PROBLEMS)}
WIDE = Choice("sample", 16, "majority")
DEEP = Choice("beam_search", 16, "weighted")


def option(choice: Choice, gets: Mapping[str, float], tokens: float = 100.0) -> Option:
    return Option(choice, gets, dict.fromkeys(gets, tokens))


EASY_ONLY = option(WIDE, {name: float(ease > 0.5) for name, ease in EASE.items()})
HARD_ONLY = option(DEEP, {name: float(ease <= 0.5) for name, ease in EASE.items()})


def test_each_level_gets_what_is_best_there() -> None:
    edges = level_edges(EASE, PROBLEMS, 4)
    assert len(edges) == 3
    chosen = choices_of([EASY_ONLY, HARD_ONLY], EASE, PROBLEMS, edges)
    assert chosen == (WIDE, WIDE, DEEP, DEEP)
    by_level = solved(crossed([EASY_ONLY, HARD_ONLY], EASE, folds(PROBLEMS, 0), 4)).values
    assert sum(by_level.values()) > 185
    at_once = solved(crossed([EASY_ONLY, HARD_ONLY], EASE, folds(PROBLEMS, 0), 1)).values
    assert 70 < sum(at_once.values()) < 130


def test_equal_choices_go_to_the_cheaper_one() -> None:
    cheap = option(DEEP, EASY_ONLY.values, 50.0)
    assert choices_of([EASY_ONLY, cheap], EASE, PROBLEMS, ()) == (DEEP,)


def test_an_empty_level_gets_the_best_on_all() -> None:
    alike = dict.fromkeys(PROBLEMS, 1.0)
    edges = level_edges(alike, PROBLEMS, 3)
    assert choices_of([EASY_ONLY, HARD_ONLY], alike, PROBLEMS[:50], edges) == (DEEP,) * 3


def test_noise_is_not_mistaken_for_gain() -> None:
    """Choices that differ by chance alone: measured on the problems that chose, the best of 20
    would seem better than each is; measured on the others it is not."""
    rng = random.Random(5)
    coins = [
        option(Choice("sample", n, "majority"), {p: float(rng.random() < 0.5) for p in PROBLEMS})
        for n in range(20)
    ]
    own = [max(coins, key=lambda c: sum(c.values[p] for p in half)) for half in folds(PROBLEMS, 0)]
    pairs = list(zip(own, folds(PROBLEMS, 0), strict=True))
    seen = sum(choice.values[p] for choice, half in pairs for p in half) / 200
    honest = sum(solved(crossed(coins, EASE, folds(PROBLEMS, 0), 5)).values.values()) / 200
    assert seen > 0.55
    assert abs(honest - 0.5) < 0.08


def test_halves_do_not_depend_on_the_order_of_the_problems() -> None:
    one, other = folds(PROBLEMS, 3)
    assert sorted((*one, *other)) == sorted(PROBLEMS)
    assert folds(PROBLEMS[::-1], 3) == (one, other)
    assert folds(PROBLEMS, 4) != (one, other)


def run_of(strategy: str, n: int, chance: float, count: int = 60) -> FittedRun:
    """A graded run in which each candidate is right with a chance by problem."""
    rng = random.Random(f"{strategy}{n}{chance}")
    chances = [chance * (place + 1) / count for place in range(count)]
    return run_with(strategy, [[rng.random() < own for _ in range(n)] for own in chances])


def run_with(
    strategy: str,
    right: Sequence[list[bool]],
    subtree_width: int | None = None,
    scores: Sequence[float] | None = None,
) -> FittedRun:
    """A graded run in which these candidates are right; scores tell which, or are one a problem."""
    examples = [Example(Problem.ask("?", name), "1") for name in PROBLEMS[: len(right)]]
    n = len(right[0])
    grades: dict[tuple[str, NodePath], bool] = {}
    traces = []
    for place, (example, own) in enumerate(zip(examples, right, strict=True)):
        name = example.problem.id
        grades |= {(name, (index,)): good for index, good in enumerate(own)}
        told = [scores[place] if scores else 0.9 if good else 0.3 for good in own]
        traces.append(_trace(name, strategy, own, told))
    measured = measure(examples, traces, ours=grades, n=n, subtree_width=subtree_width)
    return FittedRun(strategy, {"strategy": strategy, "n": n, "knobs": {}}, measured)


def _trace(name: str, strategy: str, right: list[bool], scores: list[float]) -> Trace:
    paths = [(index,) for index in range(len(right))]
    wrong = [f"{index}" for index in range(2, len(right) + 2)]
    answers = ["1" if good else other for good, other in zip(right, wrong, strict=True)]
    candidates = tuple(
        Candidate(path, "", {"s": (score,)}, 10, answer=Answer(answer, answer))
        for path, score, answer in zip(paths, scores, answers, strict=True)
    )
    nodes = tuple(Node(path, (), "x", "eos", tokens=10) for path in paths)
    spent = Spent(generated=10 * len(paths))
    return Trace(name, strategy, nodes, (), candidates, None, None, spent, n=len(paths))


def test_fewer_subtrees_of_a_dvts_are_choices_too() -> None:
    """One search of n = 16, of four subtrees, is right on half of the problems in one of them."""
    lucky = [[place % 2 == 0 and index < 4 for index in range(16)] for place in range(40)]
    never = [[False] * 16 for _ in range(40)]
    runs = [run_with("sample", never), run_with("dvts", lucky, subtree_width=4)]
    by_n = options_of(runs, 2).by_n
    assert sorted(by_n) == [4, 6, 8, 10, 16, 18]
    for n in (6, 10, 18):  # the scores tell which are right: one subtree has to be that one
        [found] = [one for one in by_n[n] if one.choice.shown == f"dvts, n = {n}, best_of_n"]
        assert fmean(found.values.values()) == pytest.approx(0.5 * (n - 2) / 16)
        assert set(found.tokens.values()) == {10 * n}
    tables = {at["n"]: names(at) for at in fit(runs, samples=2, levels=2).report["sizes"]}
    assert {n for n, fixed in tables.items() if "dvts, best_of_n" in fixed} == {4, 8, 16}


def names(at: FitAt) -> set[str]:
    return {row["name"] for row in at["fixed"]}


def test_a_fit_of_runs_gives_a_policy_for_each_n() -> None:
    runs = [run_of("sample", 16, 0.9), run_of("beam_search", 8, 0.5), run_of("dvts", 8, 0.3)]
    fitted = fit(runs, samples=2, levels=3)
    assert sorted(fitted.policy.choices) == [4, 8, 10, 16]
    assert fitted.policy.measure == "score"
    sizes = {at["n"]: at for at in fitted.report["sizes"]}
    assert {"sample, majority", "beam_search, weighted", "dvts, best_of_n"} <= names(sizes[8])
    chosen = {choice.strategy for choice in fitted.policy.choices[8]}
    assert chosen == {"sample"}, "after two samples both searches make n = 10"
    at = sizes[8]
    assert at["fixed"] == sorted(at["fixed"], key=lambda row: -row["accuracy"])
    assert at["oracle_choice"]["accuracy"] >= at["oracle_levels"]["accuracy"]
    assert at["best_fixed"] is not None
    assert at["better"] is (at["best_fixed"]["gain_low"] > 0)
    for row in at["fixed"]:
        policy = at["first_samples"]["accuracy"]
        assert row["gain"] == pytest.approx(policy - row["accuracy"])
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert at["fixed"][0]["tokens"] == 80.0
    assert len(at["choices"]) == 3
    assert fit(runs, samples=2, levels=3).report == fitted.report


def test_an_n_that_no_fixed_choice_has_is_said() -> None:
    runs = [run_of("sample", 8, 0.9), run_of("beam_search", 8, 0.5)]
    report = fit(runs, samples=2, levels=2).report
    at = report["sizes"][-1]
    assert (at["n"], at["fixed"], at["best_fixed"], at["better"]) == (10, [], None, False)
    assert report["notes"] == ["n = 10: `sample` is no choice, sample has 8 samples of a problem"]
    assert "No fixed choice ran at n = 10." in printed(report)


def printed(report: FitReport) -> str:
    console = Console(width=80, file=StringIO(), record=True)
    console.print(fit_report(report))
    return " ".join(console.export_text().split())


def world(matters: bool, seed: int = 8) -> list[FittedRun]:
    """Samples solve the easy half and beams the hard one; or beams are as good everywhere.

    Scores tell how hard a problem is, and nothing of its candidates. After three samples the beams
    make n = 8 and 16.
    """
    rng = random.Random(seed)
    samples, beams, more = [], [], []
    for place in range(len(PROBLEMS)):
        easy = place % 2 == 0
        samples.append([rng.random() < (0.9 if easy else 0.1) for _ in range(16)])
        chance = (0.15 if easy else 0.85) if matters else (0.9 if easy else 0.1)
        beams.append([rng.random() < chance] * 5)
        more.append([rng.random() < chance] * 13)
    by_strategy = (("sample", samples), ("beam_search", beams), ("beam_search", more))
    scores = [0.8, 0.2] * (len(PROBLEMS) // 2)
    return [run_with(strategy, right, scores=scores) for strategy, right in by_strategy]


@pytest.mark.parametrize("matters", [True, False])
def test_the_verdict_is_right_where_the_truth_is_known(matters: bool) -> None:
    fitted = fit(world(matters), samples=3, levels=2)
    [at] = [at for at in fitted.report["sizes"] if at["n"] == 8]
    equal = at["equal_tokens"]
    assert equal is not None
    assert {row["spends"] for row in equal["fixed"]} == {"equal"}
    assert (at["better"], equal["better"], equal["beats_each"]) == (matters,) * 3
    if matters:
        assert all(row["gain_low"] > 0 for row in (*at["fixed"], *equal["fixed"]))
        easy, hard = fitted.policy.choices[8]
        assert (easy.strategy, hard.strategy) == ("sample", "beam_search")
    else:
        assert at["best_fixed"]
        assert abs(at["best_fixed"]["gain"]) < 0.05
        assert abs(equal["best_fixed"]["gain"]) < 0.05
        assert {"open", "better"} & {row["finding"] for row in equal["fixed"]}


def stopped(run: FittedRun) -> FittedRun:
    return replace(run, study={**run.study, "knobs": {"stopping": "exact"}})


def budgeted(run: FittedRun) -> FittedRun:
    return replace(run, study={**run.study, "budget": {"generated_tokens": 100}})


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([run_of("beam_search", 8, 0.5)], "a fit needs a run of `sample`"),
        ([run_of("sample", 8, 0.5), run_of("self_refine", 8, 0.5)], "a run of self_refine"),
        ([run_of("sample", 8, 0.5, 1)], "have 1 problems in common"),
        ([run_of("sample", 4, 0.5)], "have no n over 4, the samples that are drawn first"),
        ([run_of("sample", 3, 0.5)], "sample has 3 samples of a problem, fewer than the 4"),
        ([stopped(run_of("sample", 8, 0.5))], "sample ran with a stopping rule, which a policy"),
        ([budgeted(run_of("sample", 8, 0.5))], "sample ran under a budget, which a policy"),
        (
            [run_of("sample", 8, 0.5), replace(run_of("dvts", 8, 0.5), aggregation="min")],
            "dvts ranks by the min of its step scores and sample by the last",
        ),
    ],
)
def test_runs_that_give_no_policy_are_refused(runs: list[FittedRun], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(runs)


def test_the_command_writes_a_policy_that_a_run_applies(
    tmp_path: Path,
    data: Path,  # noqa: F811  the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 8, "--verifier", "tests.playing:judged"]
    assert ponder(*words, "-o", tmp_path / "sample") == 0
    beams = ["--strategy", "beam_search", "--set", "knobs.beam_width=2"]
    assert ponder(*words, *beams, "-o", tmp_path / "beams") == 0
    capsys.readouterr()
    policy = tmp_path / "policy.toml"
    fits = ["fit", tmp_path / "sample", tmp_path / "beams", "--samples", 2, "--levels", 2]
    assert ponder(*fits, "-o", policy, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["n_problems"], report["levels"]) == (1, 6, 2)
    assert sorted(load_policy(policy).choices) == [4, 8, 10]
    assert policy.read_text().startswith("# Written by `ponder fit` from")
    assert ponder(*fits, "-o", policy) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "At equal n a fixed choice is no worse: the policy gives" in shown
    assert "At equal tokens a fixed choice is no worse: the policy gives" in shown
    applies = ["--strategy", "compute_optimal", "--n", 10, "--set", f"knobs.policy={policy}"]
    assert ponder(*words, *applies, "-o", tmp_path / "applied", "--json") == 0
    applied = json.loads(capsys.readouterr().out)
    assert list(applied["curves"]["majority"]) == ["10"]
    assert applied["n_problems"] == 6


def test_the_verifier_of_added_scores_is_the_policys(
    tmp_path: Path,
    data: Path,  # noqa: F811  the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 8, "--verifier", "arithmetic"]
    assert ponder(*words, "-o", tmp_path / "sample") == 0
    assert ponder("score", tmp_path / "sample", "--verifier", "random", "--name", "luck") == 0
    fits = ["fit", tmp_path / "sample", "--samples", 2, "-o", tmp_path / "new" / "policy.toml"]
    assert ponder(*fits) == 0
    assert load_policy(tmp_path / "new" / "policy.toml").fitted["verifier"] == "arithmetic"
    assert ponder(*fits, "--score", "luck") == 0
    assert load_policy(tmp_path / "new" / "policy.toml").fitted["verifier"] == "random"
    beams = ["--strategy", "beam_search", "--set", "knobs.beam_width=2"]
    assert ponder(*words, *beams, "-o", tmp_path / "beams") == 0
    assert ponder("score", tmp_path / "beams", "--verifier", "random", "--name", "luck") == 0
    capsys.readouterr()
    assert ponder(*fits, "--score", "luck", tmp_path / "beams") == 2
    line = capsys.readouterr().err
    assert "beams has `verifier` 'arithmetic' and sample 'random'" in line


def test_a_run_of_several_selectors_is_told_and_compared_by_its_own_answers(
    tmp_path: Path,
    data: Path,  # noqa: F811  the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Choice("sample", 8, "weighted"), Choice("sample", 8, "majority")
    policy = tmp_path / "policy.toml"
    policy.write_text(policy_toml(Policy(2, "score", "last", (0.5,), {8: row}), "For a test."))
    words = ["run", *PLAY, "--dataset", data, "--n", 8, "--verifier", "tests.playing:judged"]
    applies = ["--strategy", "compute_optimal", "--set", f"knobs.policy={policy}"]
    assert ponder(*words, *applies, "-o", tmp_path / "run", "--json") == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    assert set(curves) == {"majority", "best_of_n", "weighted", "oracle", "own"}
    assert ponder("compare", tmp_path / "run", "--selector", "own", "--selector", "majority") == 0
    assert "own choices" in capsys.readouterr().out
    [run] = loaded([tmp_path / "run"])
    assert run.view.selector == "own"
    right = {
        trace.problem_id: trace.answer == run.view.examples[trace.problem_id].reference
        for trace in run.view.traces
    }
    assert run.measured.points["own"][8].values == right


def test_what_may_not_hold_is_said() -> None:
    """A run with the policy has one engine for its first samples and for what comes after."""
    samples, beams = run_of("sample", 8, 0.5), run_of("beam_search", 4, 0.5)
    elsewhere = replace(beams, study={**beams.study, "engine": "vllm"})
    assert not fit([samples, beams], samples=2).report["notes"]
    report = fit([samples, elsewhere], samples=2).report
    assert report["notes"] == [
        "beam_search and sample differ in engine: a run with the policy has one for both"
    ]
    assert "differ in engine" in printed(report)


def with_study(run: FittedRun, name: str, **changes: object) -> FittedRun:
    return replace(run, name=name, study={**run.study, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": {"temperature": 0.0}}, r"cold has `temperature` 0.0 and sample 0.8"),
        ({"verifier": "random"}, "cold has `verifier` 'random' and sample 'arithmetic'"),
        ({"verifier_knobs": {"seed": 1}}, r"cold has `verifier_knobs` \{'seed': 1\} and sample"),
        ({"model": "3b"}, "cold has `model` '3b' and sample '1b'"),
        ({"prompt": "study"}, "cold has `prompt` 'study' and sample 'plain'"),
        ({"sampling": {"temperature": 0.8, "top_p": 0.9}}, "one choice and differ in sampling"),
    ],
)
def test_runs_that_no_run_with_the_policy_could_be_like_are_refused(
    changes: dict[str, object], message: str
) -> None:
    """A greedy run, one of another model, a search that another verifier guided."""
    said = {
        "sampling": {"temperature": 0.8},
        "verifier": "arithmetic",
        "verifier_knobs": {},
        "model": "1b",
        "prompt": "plain",
    }
    samples = with_study(run_of("sample", 8, 0.5), "sample", **said)
    with pytest.raises(UsageError, match=message):
        fit([samples, with_study(samples, "cold", **changes)])


def test_samples_that_two_runs_hold_count_once() -> None:
    """Equal settings and an equal seed: the smaller run's samples are among the larger one's."""
    samples = with_study(run_of("sample", 8, 0.5), "eight", seed=1)
    part = with_study(run_of("sample", 4, 0.5), "four", seed=1, n=4)
    beams = run_of("beam_search", 8, 0.5)
    alone = fit([samples, beams], samples=2)
    both = fit([part, samples, beams, replace(samples, name="copy")], samples=2)
    assert both.policy == alone.policy
    assert both.report["sizes"] == alone.report["sizes"]
    assert both.report["notes"] == [
        "copy holds the same samples as eight: it is left out",
        "four holds the same samples as eight: it is left out",
        *alone.report["notes"],
    ]
    again = with_study(run_of("sample", 8, 0.1), "again", seed=2)
    assert fit([samples, again, beams], samples=2).report["sizes"] != alone.report["sizes"]


def test_a_search_that_ended_without_a_candidate_is_wrong_and_not_left_out() -> None:
    """Beside first samples these alone vote; the search as a fixed choice has no answer."""
    samples = run_with("sample", [[True] * 8] * 60)
    beams = run_with("beam_search", [*([[True] * 8] * 59), []])
    options, last = options_of([samples, beams], 2), PROBLEMS[59]
    searched = next(o for o in options.by_n[10] if o.choice.strategy == "beam_search")
    assert (searched.values[last], searched.tokens[last]) == (1, 20)
    fixed = next(f for f in fixed_choices([samples, beams], PROBLEMS[:60]) if "beam" in f.name)
    assert (len(fixed.solved(8).values), fixed.solved(8).values[last]) == (60, 0)
