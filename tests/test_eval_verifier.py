"""Judging verifiers: those of known quality get the figures that theory says."""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ponder.errors import UsageError, VerifierError
from ponder.evals.bootstrap import bootstrapped, drawn, ratio
from ponder.evals.pool_judging import PoolOptions
from ponder.evals.process_bench import (
    BenchSolution,
    Judged,
    bench_result,
    best_threshold,
    predicted,
)
from ponder.evals.rescore import rescore
from ponder.evals.score_many import Scorer
from ponder.evals.step_accuracy import RatedStep, ScoredStep, auc, step_result
from ponder.evals.verifier_report import VerifierReport, judge
from ponder.evals.verifier_targets import Targets, read_targets, spread
from ponder.report.verifier_table import verifier_report
from ponder.store import RunReader
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.scripted import ScriptedVerifier
from tests.test_rescore import UNASKED, Asking, ponder, pool_run, reopened

Problems = list[dict[str, object]]


def solution(name: str, steps: int, label: int, problem: str | None = None) -> BenchSolution:
    texts = tuple("wrong" if at == label else f"right {at}" for at in range(steps))
    return BenchSolution(id=name, problem=problem or f"Why {name}?", steps=texts, label=label)


def bench(subset: str, count: int, seed: int = 0) -> tuple[BenchSolution, ...]:
    """Solutions of 1 to 6 steps, half of them with a wrong one."""
    rng = Random(seed)
    shapes = [(steps, rng.randrange(-steps, steps)) for steps in rng.choices(range(1, 7), k=count)]
    return tuple(
        solution(f"{subset}-{place}", steps, max(label, -1))
        for place, (steps, label) in enumerate(shapes)
    )


def knows(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(0.2 if text == "wrong" else 0.7 for text in texts)


PERFECT = ScriptedVerifier(knows)
CONSTANT = ScriptedVerifier(lambda _, texts: (0.5,) * len(texts))


async def judged(
    verifier: Verifier, targets: Targets, threshold: float | None = None
) -> VerifierReport:
    return await judge(Scorer(verifier), targets, threshold, PoolOptions())


# ProcessBench


@pytest.mark.parametrize(
    ("scores", "index"),
    [([0.9, 0.4, 0.1], 1), ([0.5, 0.5], -1), ([0.4], 0), ([0.9, 0.6], -1)],
)
def test_the_prediction_is_the_first_step_below_the_threshold(
    scores: list[float], index: int
) -> None:
    assert predicted(scores, 0.5) == index


def test_f1_is_the_harmonic_mean_of_both_accuracies() -> None:
    """By hand: 1 of 3 erroneous ones found, one of which at another step; 1 of 2 correct ones."""
    rows = [
        (solution("math-0", 3, 1), (0.9, 0.1, 0.9)),  # found
        (solution("math-1", 3, 1), (0.1, 0.1, 0.9)),  # an earlier step
        (solution("math-2", 3, 1), (0.9, 0.9, 0.9)),  # none
        (solution("math-3", 2, -1), (0.9, 0.9)),  # passed
        (solution("math-4", 2, -1), None),  # not scored: missed
    ]
    result = bench_result([Judged(*row) for row in rows], 0.5, tuned=False)
    subset = result["subsets"]["math"]
    assert (subset["erroneous"], subset["correct"], subset["failed"]) == (3, 2, 1)
    assert subset["accuracy_erroneous"]["value"] == pytest.approx(1 / 3)
    assert subset["accuracy_correct"]["value"] == pytest.approx(1 / 2)
    assert subset["f1"]["value"] == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert not subset["tuned"]


async def test_a_perfect_verifier_has_an_f1_of_1_on_every_subset() -> None:
    report = await judged(PERFECT, Targets(bench("gsm8k", 60) + bench("math", 40, 1)))
    assert report["threshold"] == {"value": pytest.approx(0.45), "chosen": "gsm8k"}
    found = report["process_bench"]
    assert found is not None
    for name, subset in found["subsets"].items():
        assert subset["f1"] == {"value": 1, "ci_low": 1, "ci_high": 1}
        assert subset["tuned"] == (name == "gsm8k")
    assert found["average_f1"]["value"] == 1
    assert report["throughput"]["solutions"] == 100


@pytest.mark.parametrize("threshold", [None, 0.3, 0.9])
async def test_a_constant_verifier_has_an_f1_of_0(threshold: float | None) -> None:
    """Below its score it passes all, above it it blames the first step of all."""
    rows = bench("gsm8k", 200)
    found = (await judged(CONSTANT, Targets(rows), threshold))["process_bench"]
    assert found is not None
    subset = found["subsets"]["gsm8k"]
    assert subset["f1"] == {"value": 0, "ci_low": 0, "ci_high": 0}
    first = [row.label == 0 for row in rows if row.label >= 0]
    expected = (fmean(first), 0) if threshold == 0.9 else (0, 1)
    figures = subset["accuracy_erroneous"]["value"], subset["accuracy_correct"]["value"]
    assert figures == pytest.approx(expected)


async def test_a_random_verifier_has_its_expectation() -> None:
    """At threshold t step j is the first below with probability (1 - t)^j t, none of k (1 - t)^k.

    Within four standard errors.
    """
    rows, threshold = bench("math", 1500), 0.2
    found = (await judged(RandomVerifier(), Targets(rows), threshold))["process_bench"]
    assert found is not None
    subset = found["subsets"]["math"]
    chances = {
        "accuracy_erroneous": [
            (1 - threshold) ** r.label * threshold for r in rows if r.label >= 0
        ],
        "accuracy_correct": [(1 - threshold) ** len(r.steps) for r in rows if r.label < 0],
    }
    for figure, own in chances.items():
        value = subset[figure]["value"]  # type: ignore[literal-required]
        error = math.sqrt(sum(p * (1 - p) for p in own)) / len(own)
        assert abs(value - fmean(own)) < 4 * error
        assert value - 5 * error < subset[figure]["ci_low"] < value  # type: ignore[literal-required]


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=4).flatmap(
            lambda scores: st.tuples(
                st.just(tuple(scores)), st.integers(-1, len(scores) - 1), st.booleans()
            )
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_threshold_is_better_than_the_chosen_one(
    rows: list[tuple[tuple[float, ...], int, bool]],
) -> None:
    own = [
        Judged(solution(f"gsm8k-{i}", len(scores), label), scores if told else None)
        for i, (scores, label, told) in enumerate(rows)
    ]

    def f1(threshold: float) -> float:
        def accuracy(*, erroneous: bool) -> float:
            these = [one for one in own if (one.solution.label >= 0) == erroneous]
            right = [
                one.scores is not None and predicted(one.scores, threshold) == one.solution.label
                for one in these
            ]
            return fmean(right) if right else 0.0

        first, second = accuracy(erroneous=True), accuracy(erroneous=False)
        return 2 * first * second / (first + second) if first + second else 0.0

    chosen = best_threshold(own, 0.0, 1.0)
    assert 0 <= chosen <= 1
    grid = [0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0]
    assert f1(chosen) == pytest.approx(max(map(f1, grid)))


async def test_the_threshold_is_chosen_on_gsm8k_alone_and_reused() -> None:
    def shifted(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        offset = 0.3 if "math" in problem.question else 0.0
        return tuple(score - offset + 0.1 for score in knows(problem, texts))

    rows = bench("math", 50) + bench("gsm8k", 50, 1)
    report = await judged(ScriptedVerifier(shifted), Targets(rows))
    assert report["threshold"] is not None
    assert report["threshold"]["value"] == pytest.approx(0.55)
    subsets = (report["process_bench"] or {"subsets": {}})["subsets"]
    assert subsets["gsm8k"]["f1"]["value"] == 1
    assert subsets["math"]["f1"]["value"] == 0  # every right step scores 0.5 there


async def test_a_verifier_of_solutions_is_asked_about_every_beginning() -> None:
    asked: list[tuple[str, ...]] = []

    def whole(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        asked.append(texts)
        return (0.1 if "wrong" in texts else 0.9,)

    rows = bench("gsm8k", 40)
    report = await judged(ScriptedVerifier(whole, scores="solution"), Targets(rows))
    found = report["process_bench"]
    assert found is not None
    assert found["average_f1"]["value"] == 1
    assert sorted(asked) == sorted(
        row.steps[:end] for row in rows for end in range(1, 1 + len(row.steps))
    )
    assert report["throughput"]["solutions"] == 40


# PRM800K


def rated(ratings: Sequence[int | None], problem: str = "Why?") -> list[RatedStep]:
    return [
        RatedStep.model_validate(
            {
                "instruction": problem,
                "responses": ["first"],
                "next_response": f"{r} {i}",
                "rating": r,
            }
        )
        for i, r in enumerate(ratings)
    ]


async def test_steps_rated_1_and_0_are_positive_and_unrated_ones_left_out() -> None:
    rows = [step for name in "abcdef" for step in rated([1, 0, -1, None, 1], f"{name}?")]
    perfect = ScriptedVerifier(lambda _, texts: [0.5, 0.1 if "-1" in texts[-1] else 0.6])
    report = await judged(perfect, Targets(steps=tuple(rows)))
    assert report["threshold"] == {"value": 0.5, "chosen": "middle"}
    found = report["step_accuracy"]
    assert found is not None
    assert (found["steps"], found["positive"], found["unrated"], found["failed"]) == (24, 18, 6, 0)
    for figure in (found["accuracy"], found["balanced_accuracy"], found["auc"]):
        assert figure == {"value": 1, "ci_low": 1, "ci_high": 1}
    assert report["process_bench"] is None


async def test_a_constant_score_has_the_share_of_right_steps_and_no_balance() -> None:
    rows = [step for name in "abcdef" for step in rated([1, 1, -1], name)]
    found = (await judged(CONSTANT, Targets(steps=tuple(rows)), 0.5))["step_accuracy"]
    assert found is not None
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"]["value"] == 0.5
    assert found["auc"]["value"] == 0.5


def test_steps_without_a_score_are_misjudged_and_not_ranked() -> None:
    steps = rated([1, -1, 1])
    scored = [ScoredStep(step, score) for step, score in zip(steps, (0.9, 0.1, None), strict=True)]
    result = step_result(scored, 0.5, 0)
    assert result["failed"] == 1
    assert result["accuracy"]["value"] == pytest.approx(2 / 3)
    assert result["balanced_accuracy"]["value"] == 0.75
    assert result["auc"]["value"] == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7]), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    )
)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool, int]]) -> None:
    """Also where items count several times: it is that of the data with them repeated."""
    scores, signs, times = zip(*rows, strict=True)
    weights = np.array([[1.0] * len(rows), [float(count) for count in times]])
    for value, repeats in zip(auc(scores, signs)(weights), ([1] * len(rows), times), strict=True):
        pairs = [
            (own > other) + (own == other) / 2
            for (own, sign, i), (other, against, j) in product(
                zip(scores, signs, repeats, strict=True), repeat=2
            )
            for _ in range(i * j)
            if sign and not against
        ]
        assert value == pytest.approx(fmean(pairs)) if pairs else math.isnan(value)


def test_items_of_one_problem_are_no_independent_evidence() -> None:
    """Four copies of an item say as much as one; as problems of their own they say more."""
    right = [place % 3 == 0 for place in range(60)]

    def width(names: Sequence[object], facts: Sequence[bool]) -> float:
        draws = drawn([str(name) for name in names])
        found = bootstrapped(ratio(facts, [True] * len(facts)), draws).estimated()
        assert found["ci_low"] is not None
        assert found["ci_high"] is not None
        return found["ci_high"] - found["ci_low"]

    once = width(range(60), right)
    assert once == pytest.approx(2 * 1.96 * math.sqrt(2 / 9 / 60), rel=0.15)
    assert width([*range(60)] * 4, right * 4) == once
    assert width(range(240), right * 4) == pytest.approx(once / 2, rel=0.15)


# Selection


def pool(kind: str, problems: int = 60, count: int = 8) -> Problems:
    """Candidates of which a third is right; scores that follow the truth, or lead astray.

    `gamed`: a right solution scores above most wrong ones, and one wrong one above all.
    """
    rng = Random(kind)
    rows: Problems = []
    for number in range(problems):
        right = [rng.random() < 1 / 3 for _ in range(count)]
        noise = [rng.random() for _ in range(count)]
        scores = [0.5 + n / 4 if fact else n / 2 for fact, n in zip(right, noise, strict=True)]
        if kind == "gamed":
            lure = rng.randrange(count)
            right[lure], scores[lure] = False, 1.0
        if kind == "random":
            scores = noise
        candidates = [
            {
                "text": f"{score:.6f}\n\nIt is {4 if fact else place % 2 + 5}",
                "answer": 4 if fact else place % 2 + 5,
                "correct": fact,
            }
            for place, (fact, score) in enumerate(zip(right, scores, strict=True))
        ]
        rows.append(
            {"id": f"p{number}", "problem": f"{number}?", "answer": "4", "candidates": candidates}
        )
    return rows


READS = ScriptedVerifier(lambda _, texts: [float(texts[0])] * len(texts), name="reads")


@pytest.mark.parametrize(("kind", "gamed"), [("good", False), ("random", False), ("gamed", True)])
async def test_a_fall_of_best_of_n_is_flagged(tmp_path: Path, kind: str, gamed: bool) -> None:
    folder = await pool_run(tmp_path, pool(kind))
    report = await judged(READS, Targets(pools=(folder,)))
    found = report["selection"][str(folder)]
    best = [point["accuracy"] for point in found["curves"]["best_of_n"].values()]
    assert found["gamed"] is gamed
    assert (found["n_problems"], found["candidates"], found["failed"]) == (60, 480, 0)
    assert found["fall"] is not None
    assert (found["fall"]["ci_high"] < 0) == gamed
    assert found["fall"]["to_n"] == 8
    if kind == "good":
        assert best == found_oracle(found["curves"])
        assert all(low < high for low, high in pairwise(best))
        assert found["auc"]["value"] == 1
        assert found["against_majority"]["best_of_n"]["8"]["ci_low"] > 0
    elif kind == "gamed":
        assert best[-1] == 0  # the lure is always there
        assert found["fall"]["difference"] == pytest.approx(
            best[-1] - best[found_at(found["fall"])]
        )
    else:
        assert abs(best[-1] - 1 / 3) < 4 * math.sqrt(2 / 9 / 60)
        value = found["auc"]["value"]
        assert value is not None
        assert abs(value - 0.5) < 0.1


def found_oracle(curves: Mapping[str, Mapping[str, Mapping[str, object]]]) -> list[object]:
    return [pytest.approx(point["accuracy"]) for point in curves["oracle"].values()]


def found_at(fall: Mapping[str, object]) -> int:
    return [1, 2, 4, 8].index(int(str(fall["from_n"])))


async def test_scores_that_the_run_keeps_are_not_made_again(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path, pool("good", 6))
    with reopened(folder) as store:
        await rescore(store, Scorer(READS), "kept")

    def never(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        raise VerifierError("asked again")

    again = await judged(ScriptedVerifier(never, name="reads"), Targets(pools=(folder,)))
    (tmp_path / "fresh").mkdir()
    fresh = await pool_run(tmp_path / "fresh", pool("good", 6))
    first = await judged(READS, Targets(pools=(fresh,)))
    assert again["selection"][str(folder)] == first["selection"][str(fresh)]
    assert (again["throughput"]["solutions"], first["throughput"]["solutions"]) == (0, 48)
    with RunReader(fresh) as reader:
        assert reader.score_sets() == {}


async def test_candidates_that_fail_are_counted_and_all_of_them_are_an_error(
    tmp_path: Path,
) -> None:
    folder = await pool_run(tmp_path, pool("good", 5))
    half = ScriptedVerifier(
        lambda _, texts: [0.5] * len(texts) if float(texts[0]) > 0.4 else ScoreFailure("low")
    )
    found = (await judged(half, Targets(pools=(folder,))))["selection"][str(folder)]
    assert 0 < found["failed"] < 40
    all_but_one = ScriptedVerifier(
        lambda problem, texts: [0.5] * len(texts) if problem.id != "p0" else ScoreFailure("long")
    )
    report = await judged(all_but_one, Targets(pools=(folder,)))
    assert report["selection"][str(folder)]["failed"] == 8
    console = Console(file=io.StringIO(), width=200)
    console.print(verifier_report(report))
    assert "best of N and weighted are left out: of some problem nothing" in console.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(VerifierError, match=r"no candidate of .* could be scored: step 1 came"):
        await judged(ConfidenceVerifier(), Targets(pools=(folder,)))
    with pytest.raises(VerifierError, match="no solution could be scored: step 1 came"):
        await judged(ConfidenceVerifier(), Targets(bench("gsm8k", 3)))


async def test_candidates_without_questions_are_refused_before_anything_is_scored(
    tmp_path: Path,
) -> None:
    asked: list[Problem] = []

    def told(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        asked.append(problem)
        return (0.5,) * len(texts)

    folder = await pool_run(tmp_path, UNASKED)
    for pool, says in ((folder, "import it again with"), (tmp_path / "pool.jsonl", "import it w")):
        targets = Targets(bench("gsm8k", 3), pools=(pool,))
        with pytest.raises(UsageError, match=f"{pool} holds no questions: {says}"):
            await judged(Asking(told), targets)
        assert asked == []
    assert (await judged(CONSTANT, targets))["selection"].keys() == {str(pool)}


# Files and the command


def written(path: Path, rows: Sequence[object]) -> Path:
    path.write_text(
        json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows))
    )
    return path


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "gsm8k-0", "problem": "?", "steps": [], "label": 0}, "`steps`: .*at least 1"),
        (
            {"id": "gsm8k-0", "problem": "?", "steps": ["a"], "label": 1},
            "`label` 1 names none of 1",
        ),
        ({"id": "gsm8k-0", "problem": "?", "steps": ["a"], "label": -2}, "`label`: .*got -2"),
        ({"id": "gsm8k-0", "steps": ["a"], "label": 0}, "`problem`: Field required$"),
        (
            {"instruction": "?", "responses": [], "next_response": "", "rating": 2},
            "`rating`: .*got 2",
        ),
        ({"problem": "?", "answer": "4"}, "nothing to judge a verifier on"),
    ],
)
def test_what_cannot_be_judged_on_is_one_line(tmp_path: Path, row: object, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        read_targets([written(tmp_path / "rows.json", [row])])
    assert "rows.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    rows = [row.model_dump() for row in bench("gsm8k", 3)]
    path, copy = (written(tmp_path / name, rows) for name in ("rows.json", "copy.json"))
    with pytest.raises(UsageError, match="'gsm8k-0' stands in two rows"):
        read_targets([path, copy])
    steps = written(tmp_path / "steps.jsonl", [row.model_dump() for row in rated([1, -1])])
    for own in (path, steps, tmp_path):
        with pytest.raises(UsageError, match=f"{own.name} is named twice: name it once"):
            read_targets([own, own.parent / ".." / own.parent.name / own.name])


@pytest.mark.parametrize(
    ("target", "words", "says"),
    [
        ("pool.jsonl", ["--threshold", 0.5], "`--threshold` 0.5 is for ProcessBench and rated"),
        ("steps.jsonl", ["--separator", "\n"], "`--separator` '\\n' is for candidates"),
        ("steps.jsonl", ["--aggregation", "min"], "`--aggregation` 'min' is for candidates"),
    ],
)
def test_an_option_that_no_target_takes_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    words: list[object],
    says: str,
) -> None:
    written(tmp_path / "pool.jsonl", pool("good", 2, 2))
    written(tmp_path / "steps.jsonl", [row.model_dump() for row in rated([1, -1])])
    assert ponder("eval-verifier", tmp_path / target, "--verifier", "random", *words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("low", "high"), [(-math.inf, math.inf), (0, math.inf)])
async def test_a_range_without_a_middle_needs_a_threshold(low: float, high: float) -> None:
    endless = ScriptedVerifier(lambda _, texts: [2.0] * len(texts), low=low, high=high, name="e")
    targets = Targets(steps=tuple(rated([1, -1])))
    with pytest.raises(UsageError, match=r"e scores from .* to inf, .* give `--threshold`"):
        await judged(endless, targets)
    assert (await judged(endless, targets, 1.0))["threshold"] is not None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subsets = [
        written(tmp_path / f"{name}.json", [row.model_dump() for row in bench(name, 30)])
        for name in ("gsm8k", "math")
    ]
    steps = written(tmp_path / "steps.jsonl", [row.model_dump() for row in rated([1, -1, None])])
    candidates = written(tmp_path / "pool.jsonl", pool("gamed", 30, 4))
    words = ["eval-verifier", *subsets, steps, candidates, "--verifier"]
    assert ponder(*words, "tests.test_eval_verifier:seen", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == 1
    assert report["verifier"]["name"] == "function"
    assert report["threshold"] == {"value": pytest.approx(0.45), "chosen": "gsm8k"}
    assert report["process_bench"]["average_f1"]["value"] == 1
    assert report["step_accuracy"]["steps"] == 2
    assert report["selection"][str(candidates)]["gamed"] is True
    assert report["throughput"]["solutions"] == 30 + 30 + 2 + 120
    assert ponder(*words, "tests.test_eval_verifier:seen", "--limit", 9) == 0
    out = capsys.readouterr().out
    assert "chosen for the greatest F1 on gsm8k, which is tuned thereby" in out
    assert "gsm8k, tuned" in out
    assert "182 solutions" not in out
    assert ponder(*words, "random", "--verifier-knob", "seed=3", "--threshold", 0.2, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verifier"]["identity"] == "random-1(3)"
    assert report["threshold"] == {"value": 0.2, "chosen": "given"}


def seen(problem: Problem, texts: tuple[str, ...]) -> list[float]:
    """The number that a step begins with, else what `knows` says."""
    said = [text.split()[0] for text in texts]
    numbers = [float(word) for word in said if word.replace(".", "").isdigit()]
    return [numbers[0]] * len(texts) if numbers else list(knows(problem, texts))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--threshold", "0.5", "--verifier", "nonsense"], "unknown verifier 'nonsense'"),
        (["--verifier", "random"], "chosen on its subset gsm8k: give its file too, or `--thresh"),
        (["--verifier", "random", "--threshold", "1.5"], "within 0.0 to 1.0, the scores of random"),
        (["--verifier", "random", "--limit", "0"], "--limit"),
    ],
)
def test_bad_usage_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    file = written(tmp_path / "math.json", [row.model_dump() for row in bench("math", 3)])
    assert ponder("eval-verifier", file, *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_a_file_without_any_rating_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "prm.json", [row.model_dump() for row in rated([None, None])])
    assert ponder("eval-verifier", file, "--verifier", "random", "--threshold", "0.5") == 2
    assert "none of the 2 steps has a `rating`" in capsys.readouterr().err


# The public data


def test_arithmetic_on_processbench_is_as_the_definition_says(test_data: Path) -> None:
    """Counted here from the verifier's own scores, one solution at a time."""
    files = [test_data / "processbench" / f"{name}.json" for name in ("gsm8k", "math")]
    report = asyncio.run(judged(ArithmeticVerifier(), read_targets(files, 100)))
    assert report["threshold"] is not None
    assert report["process_bench"] is not None
    threshold = report["threshold"]["value"]
    for file in files:
        hits: dict[bool, list[bool]] = {True: [], False: []}
        for row in spread(json.loads(file.read_text()), 100):
            prefix = Prefix.root(Problem.ask(row["problem"]))
            for text in row["steps"]:
                prefix = prefix.grow(Step(text))
            (scores,) = asyncio.run(ArithmeticVerifier().score(prefix.problem, [prefix]))
            assert isinstance(scores, StepScores)
            below = [index for index, score in enumerate(scores.scores) if score < threshold]
            hits[row["label"] >= 0].append([*below, -1][0] == row["label"])
        first, second = fmean(hits[True]), fmean(hits[False])
        subset = report["process_bench"]["subsets"][file.stem]
        assert subset["accuracy_erroneous"]["value"] == pytest.approx(first)
        assert subset["accuracy_correct"]["value"] == pytest.approx(second)
        assert subset["f1"]["value"] == pytest.approx(2 * first * second / (first + second))


def test_prm800k_has_the_published_counts(test_data: Path) -> None:
    file = test_data / "prm800k" / "phase1_test.rows.jsonl.gz"
    found = asyncio.run(judged(CONSTANT, read_targets([file])))["step_accuracy"]
    assert found is not None
    assert (found["steps"], found["positive"], found["unrated"]) == (5082, 3112, 367)
    assert found["accuracy"]["value"] == pytest.approx(3112 / 5082)
    assert found["auc"]["value"] == 0.5
