import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.errors import UsageError
from ponder.evals.intervals import mean_interval
from ponder.evals.measure import Measured, measure
from ponder.evals.outcomes import Grades
from ponder.evals.pool_import import import_pool
from ponder.evals.pools import read_pool
from ponder.evals.summary import join, natural, summarise
from ponder.trace import Node, Spent, Trace
from ponder.types import Answer, Candidate, Ended, Example, NodePath, Problem
from tests.playing import LastBox


def example(name: str, reference: str | None = "4") -> Example:
    return Example(Problem.ask("2 + 2?", name), reference)


def candidate(
    index: int,
    answer: str | None,
    score: float | None = None,
    *,
    ended: Ended = "eos",
    votes: bool = True,
) -> Candidate:
    parsed = None if answer is None else Answer(answer, answer)
    scores = {} if score is None else {"prm": (0.0, score)}
    return Candidate((index,), f"={answer}", scores, 10, ended, parsed, votes)


def trace(
    name: str,
    candidates: Sequence[Candidate],
    *,
    strategy: str = "sample",
    failures: Sequence[NodePath] = (),
    spent: int | None = 100,
) -> Trace:
    nodes = [Node(c.path, (), c.text, c.ended) for c in candidates]
    nodes += [Node(path, (), "", "aborted", error="lost") for path in failures]
    spending = Spent(generated=spent)
    return Trace(name, strategy, tuple(nodes), (), tuple(candidates), None, None, spending)


def grades(*traces: Trace) -> dict[tuple[str, NodePath], bool]:
    return {
        (one.problem_id, own.path): own.answer is not None and own.answer.key == "4"
        for one in traces
        for own in one.candidates
    }


def measured(*traces: Trace, n: int | None = None) -> Measured:
    examples = [example(one.problem_id) for one in traces]
    return measure(examples, traces, ours=grades(*traces), n=n)


FIRST = trace("p", [candidate(0, "4", 0.2), candidate(1, "5", 0.9), candidate(2, "4", 0.5)])
SECOND = trace(
    "q", [candidate(0, None, 0.1, ended="length"), candidate(1, "4", 0.3), candidate(2, "7", 0.2)]
)


def test_a_sampled_run_gives_curves_and_first_n() -> None:
    report = summarise(measured(FIRST, SECOND))
    assert report["n_problems"] == 2
    assert (report["failed"], report["grades"], report["schema"]) == (0, "ours", 1)
    assert (report["truncated"], report["unanswered"]) == (1 / 6, 1 / 6)
    assert list(report["curves"]) == ["majority", "best_of_n", "weighted", "oracle"]
    assert list(report["curves"]["oracle"]) == ["1", "2", "3"]
    assert report["first_n"]["majority"] == {"1": 0.5, "2": 1.0, "3": 1.0}
    assert report["first_n"]["best_of_n"] == {"1": 0.5, "2": 0.5, "3": 0.5}
    oracle = report["curves"]["oracle"]
    assert oracle["2"]["accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert oracle["2"]["tokens"] == pytest.approx(20)
    interval = mean_interval([1, 2 / 3])
    assert oracle["2"]["ci_low"] == pytest.approx(interval.low)
    assert oracle["2"]["ci_high"] == pytest.approx(interval.high)
    assert oracle["2"]["stderr"] == pytest.approx(interval.stderr)
    assert json.loads(json.dumps(report)) == report


def test_the_aggregation_is_a_choice_of_the_report() -> None:
    run = measure([example("p")], [FIRST], ours=grades(FIRST), score="prm", aggregation="product")
    assert run.first_n["best_of_n"][3] == 1


def test_levels_that_only_look_like_numbers_are_sorted_too() -> None:
    assert sorted(["10", "②", "x²", "x2", "2", "٣"], key=natural) == sorted(
        ["2", "٣", "10", "x2", "x²", "②"], key=natural
    )


def test_a_policy_has_its_own_choices_however_alike_they_were() -> None:
    run = measured(*[replace(one, strategy="compute_optimal") for one in (FIRST, SECOND)])
    assert "own" in run.points


def test_a_search_gives_one_point_at_its_own_n() -> None:
    searched = [
        trace("p", [candidate(3, "4", 0.1), candidate(7, "5", 0.9)], strategy="dvts", spent=50),
        trace("q", [candidate(0, "4", 0.1)], strategy="dvts", spent=70),
    ]
    report = summarise(measured(*searched, n=4))
    assert report["first_n"] == {}
    assert {selector: list(points) for selector, points in report["curves"].items()} == {
        "majority": ["4"],
        "best_of_n": ["4"],
        "weighted": ["4"],
        "oracle": ["4"],
    }
    assert report["curves"]["majority"]["4"]["accuracy"] == 1
    assert report["curves"]["best_of_n"]["4"]["accuracy"] == 0.5
    assert report["curves"]["oracle"]["4"]["tokens"] == 60
    assert list(summarise(measured(*searched))["curves"]["oracle"]) == ["2"]


def test_tokens_are_null_when_any_problem_does_not_tell() -> None:
    searched = trace("p", [candidate(0, "4")], strategy="dvts", spent=None)
    point = summarise(measured(searched))["curves"]["oracle"]["1"]
    assert point["tokens"] is None


def test_samples_cut_by_a_budget_allow_no_subsets_and_do_not_vote() -> None:
    cut = Candidate((1,), "=4", {}, 3, "length", Answer("4", "4"), votes=False)
    whole = candidate(0, "5")
    nodes = (Node((0,), (), "=5", "eos"), Node((1,), (), "=4", "length", cut=True))
    bounded = Trace("p", "sample", nodes, (), (whole, cut), "5", (0,), Spent(generated=13))
    report = summarise(measured(bounded, n=2))
    assert report["first_n"] == {}
    assert report["curves"]["oracle"]["2"]["accuracy"] == 0


def test_scores_missing_from_one_problem_leave_two_selectors() -> None:
    plain = trace("q", [candidate(i, "4") for i in range(3)])
    report = summarise(measured(FIRST, plain))
    assert list(report["curves"]) == ["majority", "oracle"]
    assert list(report["first_n"]) == ["majority", "oracle"]


def test_a_problem_whose_samples_all_failed_counts_as_wrong_and_as_failed() -> None:
    lost = trace("q", [], failures=[(0,), (1,), (2,)])
    report = summarise(measured(FIRST, lost))
    assert (report["n_problems"], report["failed"]) == (2, 1)
    assert list(report["curves"]) == ["majority", "best_of_n", "weighted", "oracle"]
    assert report["curves"]["oracle"]["3"]["accuracy"] == 0.5


def test_a_sample_that_failed_keeps_its_place_among_the_samples() -> None:
    partly = trace("q", [candidate(1, "4", 0.5), candidate(2, "4", 0.5)], failures=[(0,)])
    report = summarise(measured(FIRST, partly))
    assert report["failed"] == 0
    assert report["first_n"]["oracle"] == {"1": 0.5, "2": 1.0, "3": 1.0}
    assert report["curves"]["oracle"]["1"]["accuracy"] == pytest.approx(2 / 3)


def test_a_run_in_which_everything_failed_is_wrong_at_its_n() -> None:
    lost = trace("p", [], failures=[(0,)])
    report = summarise(measured(lost, n=8))
    assert report["curves"]["majority"]["8"]["accuracy"] == 0
    assert summarise(measured())["curves"] == {
        "majority": {},
        "best_of_n": {},
        "weighted": {},
        "oracle": {},
    }


def test_imported_grades_are_used_when_every_candidate_has_one() -> None:
    imported: Grades = {("p", (index,)): index == 1 for index in range(3)}
    ours = grades(FIRST)
    whole = measure([example("p")], [FIRST], imported=imported, ours=ours)
    assert (whole.grades, whole.first_n["oracle"][1]) == ("imported", 0)
    partial = {key: grade for key, grade in imported.items() if key[1] != (2,)}
    part = measure([example("p")], [FIRST], imported=partial, ours=ours)
    assert (part.grades, part.first_n["oracle"][1]) == ("ours", 1)
    told = measure([example("p")], [FIRST], imported=imported, ours=ours, grader="ours")
    assert (told.grades, told.first_n["oracle"][1]) == ("ours", 1)


def test_candidates_without_a_grade_are_named_unless_nothing_can_grade_them() -> None:
    with pytest.raises(UsageError, match="'p' is not graded: run `ponder grade`"):
        measure([example("p")], [FIRST])
    ungradable = measure([example("p", reference=None)], [FIRST])
    assert ungradable.first_n["oracle"][3] == 0


def test_runs_of_several_n_are_joined_side_by_side() -> None:
    small = trace("p", [candidate(0, "5")], strategy="dvts", spent=10)
    large = trace("p", [candidate(0, "4")], strategy="dvts", spent=40)
    report = join([measured(small, n=4), measured(large, n=16)])
    assert [run["n_problems"] for run in report["runs"]] == [1, 1]
    assert list(report["joined"]["oracle"]) == ["4", "16"]
    assert report["joined"]["oracle"]["4"]["accuracy"] == 0
    assert report["joined"]["oracle"]["16"]["accuracy"] == 1
    assert report["joined"]["oracle"]["16"]["tokens"] == 40


def test_runs_of_several_methods_are_not_joined() -> None:
    """Their mean would be nobody's accuracy. An import does not tell its method."""
    one, other = (measured(trace("p", [candidate(0, "4")], strategy="dvts")) for _ in range(2))
    dvts = {"strategy": "dvts", "n": 4, "seed": 0, "verifier": "arithmetic"}
    assert join([one, other], [dvts, dvts | {"n": 16, "seed": 1}])["joined"]["oracle"]
    assert not join([one, other], [dvts, dvts | {"verifier": "random"}])["joined"]
    assert not join([one, other], [{"strategy": "pool"}, {"strategy": "pool"}])["joined"]


def test_a_dvts_is_cut_by_whole_subtrees_and_says_so() -> None:
    """Two subtrees of two; the right answers, 4, are both in the second one."""
    own = [candidate(i, answer, 0.5) for i, answer in enumerate(("5", "6", "4", "4"))]
    nodes = tuple(Node(c.path, (), c.text, "eos", tokens=10 + c.path[0]) for c in own)
    whole = replace(trace("p", own, strategy="dvts"), nodes=nodes, n=4)
    known = grades(whole)
    run = measure([example("p")], [whole], ours=known, n=4, subtree_width=2)
    report = summarise(run)
    assert list(report["curves"]["majority"]) == ["4"]
    cut = report["subtrees"]
    assert cut is not None
    assert cut["width"] == 2
    assert list(cut["curves"]["oracle"]) == ["2", "4"]
    assert cut["curves"]["oracle"]["2"]["accuracy"] == 0.5
    assert cut["curves"]["majority"]["4"]["accuracy"] == 1
    assert cut["curves"]["majority"]["2"]["tokens"] == (10 + 11 + 12 + 13) / 2
    stopped = replace(whole, stopped="budget")
    kept = measure([example("p")], [stopped], ours=known, n=4, subtree_width=2)
    assert summarise(kept)["subtrees"] is None
    assert measured(whole, n=4).subtrees is None


def test_a_run_asked_for_an_n_that_it_does_not_have_says_why() -> None:
    searched = measured(trace("p", [candidate(0, "4")], strategy="dvts"), n=4)
    with pytest.raises(UsageError, match="search, which has one N, 4: run it again for N = 8"):
        searched.at("oracle", 8)
    sampled = measured(FIRST, SECOND)
    n, at = sampled.at("oracle", 2)
    assert (n, at.values["p"]) == (2, 1)
    with pytest.raises(UsageError, match="N must be 1 to 3, the samples of a problem, got 4"):
        sampled.at("oracle", 4)
    with pytest.raises(
        UsageError, match=r"'best' \(known: majority, best_of_n, weighted, oracle\)"
    ):
        sampled.at("best")


def test_levels_and_subjects_are_reported_apart() -> None:
    traces = [replace(FIRST, problem_id=name) for name in ("a", "b", "c")]
    traces[1] = replace(SECOND, problem_id="b")
    levels = {"a": "10", "b": "9", "c": None}
    told = [replace(example(name), level=levels[name], subject="sums") for name in "abc"]
    report = summarise(measure(told, traces, ours=grades(*traces)))
    assert list(report["levels"]) == ["9", "10"]
    assert report["levels"]["9"]["n_problems"] == 1
    assert report["levels"]["9"]["curves"]["oracle"]["1"]["accuracy"] == pytest.approx(1 / 3)
    assert report["subjects"]["sums"]["n_problems"] == 3
    assert report["subjects"]["sums"]["curves"] == report["curves"]


def test_repetitions_count_once_a_problem() -> None:
    def run(answers: Mapping[str, str]) -> Measured:
        return measured(
            *(
                trace(name, [candidate(0, answer)], strategy="dvts")
                for name, answer in answers.items()
            )
        )

    repeated = join([run({"p": "4", "q": "5"}), run({"p": "4", "q": "4"}), run({"p": "4"})])
    point = repeated["joined"]["majority"]["1"]
    expected = mean_interval([1.0, 0.5])
    assert (point["accuracy"], point["ci_low"]) == (expected.mean, expected.low)


async def test_the_public_pool_gives_its_published_figures(test_data: Path) -> None:
    path = test_data / "completions" / "math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
    problems = await import_pool(read_pool(path), LastBox())
    imported = {
        (problem.example.problem.id, place): grade
        for problem in problems
        for place, grade in problem.grades.items()
    }
    run = measure([p.example for p in problems], [p.trace for p in problems], imported=imported)
    report = summarise(run)
    right = {
        selector: [round(40 * accuracy, 9) for accuracy in report["first_n"][selector].values()]
        for selector in ("best_of_n", "oracle")
    }
    assert report["grades"] == "imported"
    assert right == {"best_of_n": [15, 17, 19, 20], "oracle": [15, 20, 24, 28]}
    assert report["curves"]["best_of_n"]["8"]["accuracy"] == pytest.approx(20 / 40)
    assert report["curves"]["oracle"]["8"]["accuracy"] == pytest.approx(28 / 40)
    assert report["truncated"] == 0  # the file tells no finish reasons
