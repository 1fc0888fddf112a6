"""Pure decisions: ranking, spreading the width, splitting steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.engines.scripted import tokens_of
from ponder.search.ranking import allot, best, expandable
from ponder.search.steps import first_end, split
from ponder.types import Completion, Step


def test_best_ranks_by_score_and_then_by_index() -> None:
    assert best([0.2, None, 0.9, 0.2], 3) == (2, 0, 3)
    assert best([None, None, None], 2) == (0, 1)
    assert best([None, -0.5], 1) == (1,)
    assert best([], 2) == ()


@given(st.lists(st.none() | st.floats(-1, 1), max_size=12), st.integers(0, 12))
def test_best_never_keeps_an_unscored_node_over_a_scored_one(
    scores: list[float | None], keep: int
) -> None:
    kept = best(scores, keep)
    assert len(kept) == len(set(kept)) == min(keep, len(scores))
    left = [score for i, score in enumerate(scores) if i not in kept and score is not None]
    for index in kept:
        score = scores[index]
        assert all(score is not None and score >= other for other in left)


def test_unscored_nodes_are_expanded_only_when_there_is_no_other() -> None:
    scores = [None, 0.1, None]
    assert expandable((1, 0), scores) == (1,)
    assert expandable((0, 2), scores) == (0, 2)


def test_steps_of_text_have_the_log_probabilities_of_the_tokens_that_begin_in_them() -> None:
    completion = Completion(
        0, "a b\n\nc\n\nd", "eos", logprobs=(-1.0, -2.0, -3.0, -4.0), offsets=(1, 5, 8, 9)
    )
    first, second, third = split(completion, "\n\n")
    assert (first.logprobs, second.logprobs, third.logprobs) == ((-1, -2), (-3,), (-4,))


@pytest.mark.parametrize("told", [{"logprobs": (-1.0, -2.0)}, {"offsets": (3, 4)}, {}])
def test_log_probabilities_of_unknown_places_are_not_told(told: dict[str, Any]) -> None:
    steps = split(Completion(0, "a\n\nb", "eos", **told), "\n\n")
    assert [(step.text, step.logprobs) for step in steps] == [("a\n\n", None), ("b", None)]


def test_text_of_no_token_is_no_step() -> None:
    """What was left of a character whose first bytes ended the step before."""
    assert split(Completion(0, "\ufffd", "eos", token_ids=(), offsets=()), "\n\n") == ()
    assert len(split(Completion(0, "\ufffd", "eos"), "\n\n")) == 1


@pytest.mark.parametrize(
    ("width", "nodes", "shares"),
    [(16, 4, (4, 4, 4, 4)), (10, 2, (5, 5)), (7, 3, (3, 2, 2)), (8, 1, (8,)), (3, 0, ())],
)
def test_the_width_is_spread_in_full(width: int, nodes: int, shares: tuple[int, ...]) -> None:
    assert allot(width, nodes) == shares


def completion(text: str, tokens: list[str] | None = None) -> Completion:
    if tokens is None:
        return Completion(0, text, "eos")
    ends = [sum(map(len, tokens[: i + 1])) for i in range(len(tokens))]
    ids = tuple(range(len(tokens)))
    logprobs = tuple(-float(i) for i in ids)
    return Completion(
        0, text, "eos", token_ids=ids, tokenizer="t", logprobs=logprobs, offsets=tuple(ends)
    )


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a\n\nb\n\nc", ["a\n\n", "b\n\n", "c"]),
        ("a\n\n", ["a\n\n"]),
        ("a\n\n\n\nb", ["a\n\n\n\n", "b"]),
        ("\n\na\n\nb", ["\n\na\n\n", "b"]),
        ("a\n\nb\n\n  ", ["a\n\n", "b\n\n  "]),
        ("no separator", ["no separator"]),
        (" \n\n ", []),
        ("", []),
    ],
)
def test_text_splits_after_each_separator(text: str, steps: list[str]) -> None:
    assert [step.text for step in split(completion(text), "\n\n")] == steps


def test_without_separator_the_text_is_one_step() -> None:
    assert [step.text for step in split(completion("a\n\nb"), None)] == ["a\n\nb"]


def test_a_token_that_straddles_the_separator_is_not_split() -> None:
    tokens = ["a.", "\n\nThe", " end", ".\n", "\n", "x"]
    steps = split(completion("".join(tokens), tokens), "\n\n")
    assert [step.text for step in steps] == ["a.\n\nThe", " end.\n\n", "x"]
    assert [step.token_ids for step in steps] == [(0, 1), (2, 3, 4), (5,)]
    assert steps[1].logprobs == (-2.0, -3.0, -4.0)
    assert {step.tokenizer for step in steps} == {"t"}


def test_two_separators_in_one_token_make_one_end() -> None:
    tokens = ["a", "\n\n\n\n", "b"]
    steps = split(completion("".join(tokens), tokens), "\n\n")
    assert [step.text for step in steps] == ["a\n\n\n\n", "b"]


def test_tokens_without_text_of_their_own_stay_with_what_follows() -> None:
    """Half of a multi-byte character ends where the token before it ended."""
    part = Completion(0, "a\n\né", "eos", token_ids=(1, 2, 3, 4), offsets=(1, 3, 3, 4))
    assert [step.token_ids for step in split(part, "\n\n")] == [(1, 2), (3, 4)]


@given(st.text("ab \n", max_size=40))
def test_steps_join_to_the_text(text: str) -> None:
    tokens = tokens_of(text)
    for steps in (split(completion(text), "\n\n"), split(completion(text, tokens), "\n\n")):
        if text.strip():
            assert "".join(step.text for step in steps) == text
            assert all(step.text.strip() for step in steps)
        else:
            assert steps == ()
    whole = split(completion(text, tokens), "\n\n")
    assert [i for step in whole for i in step.token_ids or ()] == (
        list(range(len(tokens))) if text.strip() else []
    )


@pytest.mark.parametrize("tokens", [None, ["  a b", ";", " c; ", "d", " ;", "\n"]])
def test_a_step_is_read_without_its_separator(tokens: list[str] | None) -> None:
    assert [step.content for step in split(completion("  a b; c; d ;\n", tokens), ";")] == (
        ["  a b", " c", " d"] if tokens is None else ["  a b", " c", "d"]
    )
    assert [step.content for step in split(completion("a\n\nb \n"), "\n\n")] == ["a", "b"]
    assert [step.content for step in split(completion("a;b"), ";")] == ["a", "b"]
    assert [step.content for step in split(completion("a; \n"), None)] == ["a;"]


def test_what_follows_the_separator_in_its_token_keeps_it() -> None:
    steps = split(completion("a;b;", ["a", ";b", ";"]), ";")
    assert [step.content for step in steps] == ["a;b", ""]
    assert split(completion("a;"), ";") == (Step("a;"),)


def test_first_end() -> None:
    assert first_end("a\n\nb\n\n", "\n\n") == 3
    assert first_end("ab", "\n\n") is None
    assert first_end("ab", None) is None
