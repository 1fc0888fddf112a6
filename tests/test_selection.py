import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.search.selection import (
    SELECTORS,
    Aggregation,
    Ballot,
    aggregate,
    best_of_n,
    majority,
    weighted,
)

# The worked example: four solutions of two steps each.
ANSWERS = ("1", "2", "2", "3")
STEP_SCORES = ((0.9, 0.1), (0.2, 0.5), (0.3, 0.4), (0.1, 0.8))

ballots = st.lists(
    st.builds(
        Ballot, st.sampled_from(["a", "b", "c", None]), st.sampled_from([0.25, 0.5, 1, None])
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("last", (0.1, 0.5, 0.4, 0.8)),
        ("min", (0.1, 0.2, 0.3, 0.1)),
        ("product", (0.09, 0.10, 0.12, 0.08)),
        ("mean", (0.5, 0.35, 0.35, 0.45)),
    ],
)
def test_aggregation_of_the_worked_example(how: Aggregation, expected: Sequence[float]) -> None:
    assert [aggregate(scores, how) for scores in STEP_SCORES] == pytest.approx(expected)


def test_aggregation_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="no step scores"):
        aggregate((), "last")
    with pytest.raises(UsageError, match="one of last, min, product, mean, got 'median'"):
        aggregate((0.5,), "median")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selector", "answers"),
    [
        ("best_of_n", ("1", "2", "3")),
        ("weighted", ("1", "2", "2")),
        ("majority", ("1", "1", "2")),
    ],
)
def test_the_worked_example_at_1_2_and_4(selector: str, answers: Sequence[str]) -> None:
    pool = [
        Ballot(answer, aggregate(scores, "last"))
        for answer, scores in zip(ANSWERS, STEP_SCORES, strict=True)
    ]
    chosen = [SELECTORS[selector](pool[:size]) for size in (1, 2, 4)]
    assert [ANSWERS[index] for index in chosen if index is not None] == list(answers)


def test_majority_ties_go_to_the_group_seen_first() -> None:
    assert majority([Ballot(key, None) for key in "abba"]) == 0
    assert majority([Ballot(key, None) for key in "abbca"]) == 0
    assert majority([Ballot(key, None) for key in "abb"]) == 1


def test_no_answer_is_not_a_vote() -> None:
    pool = [Ballot(None, 0.9), Ballot(None, 0.9), Ballot("a", 0.1)]
    assert majority(pool) == 2
    assert weighted(pool) == 2


def test_best_of_n_ranks_solutions_and_may_choose_one_without_an_answer() -> None:
    assert best_of_n([Ballot("a", 0.1), Ballot(None, 0.9)]) == 1


def test_best_of_n_ties_go_to_the_lowest_index() -> None:
    assert best_of_n([Ballot("a", 0.1), Ballot("b", 0.9), Ballot("c", 0.9)]) == 1


def test_an_unscored_ballot_votes_in_majority_alone() -> None:
    pool = [Ballot("a", None), Ballot("a", None), Ballot("b", 0.2)]
    assert majority(pool) == 0
    assert best_of_n(pool) == 2
    assert weighted(pool) == 2


def test_weighted_ties_within_rounding_go_to_the_group_seen_first() -> None:
    assert weighted([Ballot("b", 0.3), Ballot("a", 0.1), Ballot("a", 0.2)]) == 0
    assert weighted([Ballot("a", 0.1), Ballot("b", 0.3), Ballot("a", 0.2)]) == 2


def test_weighted_chooses_the_best_scored_member_of_its_group() -> None:
    assert weighted([Ballot("a", 0.1), Ballot("b", 0.3), Ballot("a", 0.4), Ballot("a", 0.4)]) == 2


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("pool", [[], [Ballot(None, None)]])
def test_nothing_to_choose_is_none(selector: str, pool: list[Ballot]) -> None:
    assert SELECTORS[selector](pool) is None


@given(ballots)
def test_the_choice_is_always_of_a_ballot_that_counts(pool: list[Ballot]) -> None:
    for name, select in SELECTORS.items():
        chosen = select(pool)
        counts = [
            (name == "best_of_n" or ballot.key is not None)
            and (name == "majority" or ballot.score is not None)
            for ballot in pool
        ]
        assert any(counts) if chosen is not None else not any(counts)
        assert chosen is None or counts[chosen]


@given(ballots)
def test_the_winning_group_has_the_most_votes_and_the_largest_sum(pool: list[Ballot]) -> None:
    def votes(key: str | None) -> int:
        return sum(ballot.key == key for ballot in pool)

    def total(key: str | None) -> float:
        return math.fsum(b.score for b in pool if b.key == key and b.score is not None)

    keys = {ballot.key for ballot in pool} - {None}
    most, heaviest = majority(pool), weighted(pool)
    if most is not None:
        assert votes(pool[most].key) == max(map(votes, keys))
    if heaviest is not None:
        assert total(pool[heaviest].key) == max(map(total, keys))
