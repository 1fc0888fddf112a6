"""Methods at equal cost: matched pairs, the same accuracy for less, the Pareto front."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ponder.errors import UsageError
from ponder.evals.compare import Method
from ponder.evals.cost_curves import CostCurve, Named, cost_curves
from ponder.evals.curves import expected
from ponder.evals.matched import MatchedCosts, at_equal_cost, cheaper, pareto
from ponder.evals.measure import Measured, measure
from ponder.report.comparison import equal_cost_report
from ponder.trace import Node, Spent, Trace
from ponder.types import Answer, Candidate, Example, NodePath, Problem
from tests.test_cli import PLAY, data, failing, ponder  # noqa: F401  a fixture among them


def run(*answers: str, tokens: int = 10, strategy: str = "sample") -> Measured:
    """A problem a word of `answers`, a sample a letter; "r" is right, and each has its tokens."""
    traces: list[Trace] = []
    grades: dict[tuple[str, NodePath], bool] = {}
    for place, letters in enumerate(answers):
        own = [
            Candidate((i,), letter, {}, tokens, answer=Answer(letter, letter))
            for i, letter in enumerate(letters)
        ]
        nodes = tuple(Node(c.path, (), c.text, "eos", tokens=tokens) for c in own)
        spent = Spent(generated=tokens * len(own), prompt=None, calls=len(own))
        traces.append(
            Trace(f"p{place}", strategy, nodes, (), tuple(own), None, None, spent, n=len(own))
        )
        grades |= {(f"p{place}", c.path): c.text == "r" for c in own}
    examples = [Example(Problem.ask("?", trace.problem_id), "r") for trace in traces]
    return measure(examples, traces, ours=grades, n=len(answers[0]))


def curves(**runs: Measured) -> list[CostCurve]:
    methods = [Named(name, "majority", [own]) for name, own in runs.items()]
    return cost_curves(methods, "generated_tokens")


SAMPLED = run("rrab", "rabc", "abcd")


def test_samples_can_be_had_for_every_cost_between_one_and_all() -> None:
    (curve,) = curves(a=SAMPLED)
    assert curve.sizes == (1, 2, 4)
    assert curve.cost.tolist() == [[10] * 3, [20] * 3, [40] * 3]
    at = curve.at_cost(27)
    assert at is not None
    assert at.n == pytest.approx(2.7)
    two, three = (expected(SAMPLED.problems, "majority", n) for n in (2, 3))
    for problem, value in at.values.items():
        mixed = 0.3 * two[problem].value + 0.7 * three[problem].value
        assert value == pytest.approx(mixed)
    assert curve.at_cost(9.8) is None
    assert curve.at_cost(40.6) is None


def test_costs_within_a_hundredth_are_equal() -> None:
    (curve,) = curves(a=SAMPLED)
    for cost, n in ((9.95, 1), (40.3, 4)):
        at = curve.at_cost(cost)
        assert at is not None
        assert at.n == n
    search = run("r", "r", "a", tokens=403, strategy="beam_search")
    ten = run("rrabrrabrr", "rabcrabcra", "abcdabcdab", tokens=40)
    (pair,) = at_equal_cost(curves(a=ten, b=search), "generated_tokens")["matched"]
    assert (pair["cost"], pair["first_n"], pair["second_n"]) == (400, 10, 1)


def test_pairs_are_compared_at_the_cost_of_the_cheaper_one() -> None:
    search = run("r", "r", "a", tokens=25, strategy="beam_search")
    result = at_equal_cost(curves(a=SAMPLED, b=search), "generated_tokens")
    (pair,) = result["matched"]
    assert (pair["cost"], pair["second_n"]) == (25, 1)
    assert pair["first_n"] == pytest.approx(2.5)
    at = curves(a=SAMPLED)[0].at_cost(25)
    assert at is not None
    assert pair["compared"]["difference"] == pytest.approx(sum(at.values.values()) / 3 - 2 / 3)


def test_a_search_has_one_cost_and_the_reason_is_told() -> None:
    search = run("r", "r", "a", tokens=90, strategy="beam_search")
    result = at_equal_cost(curves(a=SAMPLED, b=search), "generated_tokens")
    assert result["matched"] == []
    (pair,) = result["unmatched"]
    assert pair["reason"] == "b cannot be had for 40 a problem: it costs 90 at least"


def test_the_same_accuracy_for_less() -> None:
    """Oracle of one problem, 1 of 4 right: 1/4, 1/2 and 1 at N = 1, 2, 4 for 10 tokens each."""
    small = cost_curves([Named("small", "oracle", [run("rabc")])], "generated_tokens")
    large = CostCurve("large", "oracle", (), ("p0",), (1,), np.array([[0.75]]), np.array([[120.0]]))
    result = at_equal_cost([*small, large], "generated_tokens")
    found = {(own["method"], own["equals"]): own for own in result["cheaper"]}
    less = found["small", "large"]
    assert less["n"] == pytest.approx(3)
    assert less["times_less"]["value"] == pytest.approx(120 / 30)
    never = found["large", "small"]
    assert (never["n"], never["times_less"]["value"]) == (None, 0)


def line(name: str, accuracy: Sequence[float], cost: Sequence[float]) -> CostCurve:
    """One problem, N = 1, 2, 4, ..."""
    sizes = tuple(2**place for place in range(len(cost)))
    table, costs = np.array(accuracy)[:, None], np.array(cost)[:, None]
    return CostCurve(name, "majority", (), ("p0",), sizes, table, costs)


@pytest.mark.parametrize(
    ("accuracy", "times"),
    [((0.6, 0.6, 0.6), 0.5), ((0.6, 0.55, 0.5), 0.5), ((0.2, 0.4, 0.6), 2.0)],
)
def test_what_the_other_spends_beyond_need_is_no_saving(
    accuracy: Sequence[float], times: float
) -> None:
    """A flat, a falling and a rising curve of 10, 20 and 40 tokens, beside 0.7 for 20."""
    found = cheaper(line("one", (0.7,), (20,)), line("other", accuracy, (10, 20, 40)))
    assert found["times_less"]["value"] == pytest.approx(times)


def shown(one: CostCurve, other: CostCurve) -> str:
    console = Console(width=100, record=True, file=StringIO())
    equal: MatchedCosts = {
        "axis": "generated_tokens",
        "n_problems": 1,
        "matched": [],
        "unmatched": [],
        "cheaper": [cheaper(one, other)],
        "pareto": [],
    }
    console.print(equal_cost_report(equal))
    return console.export_text()


def test_what_is_dearer_is_not_shown_as_cheaper() -> None:
    flat = line("flat", (0.6, 0.6), (10, 40))
    nothing = "No method reaches another's accuracy for less"
    assert nothing in shown(line("dear", (0.7,), (20,)), flat)
    assert nothing in shown(line("near", (0.7,), (9.95,)), flat)
    assert "at equal" not in shown(line("dear", (0.7,), (20,)), flat)
    less = shown(line("cheap", (0.7,), (5,)), flat)
    assert re.search(r"cheap +flat +60.0 % +1 +2 ", less)
    assert nothing not in less


def test_what_is_more_accurate_by_rounding_alone_is_not_in_the_front() -> None:
    front = pareto([line("flat", (0.5, 0.5000000000000001), (10, 20))])
    assert [point["n"] for point in front] == [1]


def test_how_sure_it_is_that_something_is_cheaper() -> None:
    """Equal accuracy on average, but problem by problem it is chance: never is within reach."""
    half = curves(a=run(*["r", "a"] * 20), b=run(*["a", "r"] * 20, tokens=40))
    less = at_equal_cost(half, "generated_tokens")["cheaper"][0]["times_less"]
    assert less == {"value": 4, "ci_low": 0, "ci_high": 4}


points = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8)


@given(points)
def test_the_front_holds_just_what_nothing_beats(measured: Sequence[tuple[int, int]]) -> None:
    lines = [
        CostCurve(f"m{i}", "majority", (), ("p",), (1,), np.array([[a / 5]]), np.array([[c * 1.0]]))
        for i, (c, a) in enumerate(measured)
    ]
    front = pareto(lines)
    found = {(point["cost"], round(5 * point["accuracy"])) for point in front}
    best = {
        (cost, right)
        for cost, right in measured
        if not any(c <= cost and a >= right and (c, a) != (cost, right) for c, a in measured)
    }
    assert found == best
    assert len(front) == len(best)


def test_what_is_not_told_is_said() -> None:
    with pytest.raises(UsageError, match="a does not tell flops: repeat its `ponder run` with"):
        cost_curves([Named("a", "majority", [SAMPLED])], "flops")
    other = run("r")
    assert cost_curves([Named("a", "majority", [SAMPLED, other])], "generated_tokens")[0].sizes == (
        1,
    )


def test_majority_of_samples_bears_no_verifier() -> None:
    costs = {name: replace(cost, prompt=0, verifier=100) for name, cost in SAMPLED.costs.items()}
    scored = replace(SAMPLED, costs=costs)
    named = [Named(name, name, [scored]) for name in ("majority", "oracle")]
    voted, chosen = cost_curves(named, "total_tokens")
    assert voted.cost[-1].tolist() == [40, 40, 40]
    assert chosen.cost[-1].tolist() == [140, 140, 140]
    search = run("rr", "ra", strategy="dvts")
    dear = replace(
        search, costs={n: replace(c, prompt=0, verifier=100) for n, c in search.costs.items()}
    )
    (guided,) = cost_curves([Named("dvts", "majority", [dear])], "total_tokens")
    assert guided.cost[-1].tolist() == [120, 120]


def test_repetitions_of_which_one_has_come_further_are_taken_at_the_n_that_both_have() -> None:
    further, behind = run("rraa", "aaaa"), run("ra", "ra")
    for runs in ((further, behind), (behind, further)):
        method = Method.of("a", "oracle", runs)
        assert method.n == 2
        assert method.values == pytest.approx({"p0": (1 - 1 / 6 + 1) / 2, "p1": 0.5})


def test_seeds_are_averaged_problem_by_problem() -> None:
    (curve,) = cost_curves(
        [Named("a", "majority", [run("r", "a"), run("a", "a", tokens=30)])], "generated_tokens"
    )
    assert curve.accuracy.tolist() == [[0.5, 0]]
    assert curve.cost.tolist() == [[20, 20]]


def test_the_command_compares_at_equal_cost(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["run", *PLAY, "--dataset", data, "--verifier", "tests.playing:judged"]
    assert ponder(*common, "--n", 8, "-o", tmp_path / "sampled") == 0
    beams = ["--strategy", "beam_search", "--set", "knobs.beam_width=2", "--n", 4]
    assert ponder(*common, *beams, "-o", tmp_path / "beams") == 0
    capsys.readouterr()
    words = ["compare", tmp_path / "sampled", tmp_path / "beams", "--selector", "oracle"]
    assert ponder(*words, "--axis", "generated_tokens", "--json") == 0
    equal = json.loads(capsys.readouterr().out)["equal_cost"]
    assert (equal["axis"], equal["n_problems"]) == ("generated_tokens", 6)
    assert len(equal["matched"]) + len(equal["unmatched"]) == 1
    assert equal["pareto"][0]["n"] == 1
    assert ponder(*words, "--axis", "generated_tokens") == 0
    assert "Pareto front" in capsys.readouterr().out
    status, line = failing(capsys, *words, "--axis", "money")
    assert (status, "does not tell money: give `--price generated=P`" in line) == (2, True)
    assert ponder(*words, "--axis", "money", "--price", "generated=1", "--json") == 0
