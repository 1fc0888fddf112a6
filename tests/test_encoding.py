"""JSON of calls and traces: nothing is lost on the way."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.encoding import to_json
from ponder.types import Completion, StepScores, Usage

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_values_come_back_as_they_went_in(value: object) -> None:
    assert json.loads(to_json(value)) == value


@given(st.floats())
def test_numbers_keep_every_bit(number: float) -> None:
    [back] = json.loads(to_json([number]))
    assert back == number or (math.isnan(back) and math.isnan(number))
    assert math.copysign(1, back) == math.copysign(1, number) or math.isnan(number)


def test_a_lone_surrogate_is_kept_in_any_part_of_a_dataclass() -> None:
    completion = Completion(0, "a\ud800", "eos", Usage(3, None, 2), token_ids=(7, 8))
    back = json.loads(to_json({"kept": completion}))["kept"]
    assert back == {**asdict(completion), "usage": [3, None, 2], "token_ids": [7, 8]}


def test_both_ways_write_the_same() -> None:
    plain = Completion(0, "a", "eos", Usage(3, None, 2), logprobs=(-0.5, math.inf))
    escaped = Completion(0, "\ud800", "eos", Usage(3, None, 2), logprobs=(-0.5, math.inf))
    texts = [to_json([one, StepScores((0.25,), None)]).decode() for one in (plain, escaped)]
    assert texts[1] == texts[0].replace('"a"', '"\\ud800"')


def test_a_value_that_cannot_be_written_is_named() -> None:
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        to_json({"one": object()})
