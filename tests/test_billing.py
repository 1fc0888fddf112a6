"""What a problem cost; verifiers' tokens count each node of the prefix tree once."""

import pytest

from ponder.session.billing import VerifierBill
from ponder.session.ending import spent_of
from ponder.trace import Node, Spent
from ponder.types import (
    Completion,
    Prefix,
    Problem,
    Sample,
    ScoreFailure,
    Step,
    StepScores,
    Usage,
)

ROOT = Prefix.root(Problem.ask("1 + 1?"))


def grown(*texts: str) -> Prefix:
    prefix = ROOT
    for text in texts:
        prefix = prefix.grow(Step(text))
    return prefix


def scored(*tokens: int) -> StepScores:
    return StepScores((0.5,) * (len(tokens) - 1), tokens)


def test_shared_steps_and_the_question_count_once() -> None:
    bill = VerifierBill()
    assert bill.new_tokens(grown("a", "b"), {"prm": scored(10, 3, 4)}) == 17
    assert bill.new_tokens(grown("a", "c"), {"prm": scored(10, 3, 5)}) == 5
    assert bill.new_tokens(grown("a"), {"prm": scored(10, 3)}) == 0
    assert bill.new_tokens(grown("d"), {"prm": scored(10, 6)}) == 6


def test_each_verifier_pays_for_itself() -> None:
    bill = VerifierBill()
    both = {"prm": scored(10, 3), "judge": scored(0, 90), "rule": StepScores((1.0,))}
    assert bill.new_tokens(grown("a"), both) == 103
    assert bill.new_tokens(grown("a"), both) == 0


def test_what_a_prefix_costs_alone_is_added_when_it_is_scored() -> None:
    bill = VerifierBill()
    assert bill.new_tokens(grown("a", "b"), {"judge": scored(0, 0, 50)}) == 50
    assert bill.new_tokens(grown("a"), {"judge": scored(0, 40)}) == 40


def test_a_silent_verifier_makes_the_sum_unknown_and_the_others_still_count() -> None:
    bill = VerifierBill()
    known = {"prm": scored(10, 3), "server": StepScores((0.5,), None)}
    assert bill.new_tokens(grown("a"), known) is None
    assert bill.new_tokens(grown("a", "b"), {"prm": scored(10, 3, 4)}) == 4


def test_a_verifier_after_a_silent_one_still_counts() -> None:
    bill = VerifierBill()
    known = {"server": StepScores((0.5,), None), "prm": scored(10, 3)}
    assert bill.new_tokens(grown("a"), known) is None
    assert bill.new_tokens(grown("a", "b"), {"prm": scored(10, 3, 4)}) == 4


def test_a_step_that_costs_more_the_second_time_adds_the_difference() -> None:
    bill = VerifierBill()
    assert bill.new_tokens(grown("a"), {"judge": scored(0, 40)}) == 40
    assert bill.new_tokens(grown("a"), {"judge": scored(0, 90)}) == 50


def test_failures_cost_nothing_and_the_verifiers_after_them_count() -> None:
    assert VerifierBill().new_tokens(grown("a"), {"prm": ScoreFailure("why")}) == 0
    known: dict[str, StepScores | ScoreFailure] = {
        "prm": ScoreFailure("why"),
        "judge": scored(0, 90),
    }
    assert VerifierBill().new_tokens(grown("a"), known) == 90


@pytest.mark.parametrize(("cached", "computed"), [(4, 9), (None, 13)])
def test_failed_and_late_samples_are_waste_and_cached_tokens_are_not_computed(
    cached: int | None, computed: int
) -> None:
    nodes = [
        Node((0,), (), "a", "eos", tokens=3, prompt_tokens=10, verifier_tokens=2),
        Node((1,), (), "", "aborted", tokens=5, prompt_tokens=10, error="lost"),
    ]
    samples = [
        Sample((0,), (), ROOT, Completion(0, "a", "eos", Usage(10, cached, 3))),
        Sample((1,), (), ROOT, Completion(0, "", "aborted", Usage(10, 8, 5), error="lost")),
    ]
    late = [Completion(0, "b", "eos", Usage(generated=7)), Completion(0, "c", "aborted")]
    assert spent_of(nodes, samples, late, parameters=100, seconds=1.5) == Spent(
        generated=3,
        prompt=10,
        cached=cached,
        verifier=2,
        wasted=5 + 7,
        calls=4,
        flops=2 * 100 * computed,
        seconds=1.5,
    )
    midway = spent_of(nodes, samples, None, parameters=None, seconds=1.5)
    assert (midway.wasted, midway.calls, midway.flops) == (None, 2, None)
