"""What verifiers' tokens cost: each node of the prefix tree once."""

from ponder.session.billing import VerifierBill
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores

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
