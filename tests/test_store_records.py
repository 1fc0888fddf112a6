"""Records: what goes in comes out, and what cannot be read is named."""

from __future__ import annotations

import json
import math
import zlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ponder.errors import StoreError
from ponder.store.log import path_of, path_text
from ponder.store.records import EXAMPLE, TRACE
from ponder.trace import Decision, DecisionKind, Node, Spent, Trace
from ponder.types import Answer, Candidate, Ended, Example, Message, Problem

texts = st.text(st.characters(), max_size=20)  # every code point, lone surrogates included
counts = st.none() | st.integers(0, 2**40)
floats = st.floats(allow_nan=False)
paths = st.lists(st.integers(0, 300), min_size=1, max_size=4).map(tuple)
scores = st.dictionaries(texts, st.none() | st.lists(floats, max_size=3).map(tuple), max_size=2)
endings = st.sampled_from(get_args(Ended))


def tuples(of: SearchStrategy[object], size: int = 3) -> SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=size).map(tuple)


nodes = st.builds(
    Node,
    path=paths,
    parent=st.just(()) | paths,
    text=texts,
    ended=endings,
    token_ids=st.none() | tuples(st.integers(0, 2**31)),
    scores=scores,
    tokens=counts,
    prompt_tokens=counts,
    verifier_tokens=counts,
    error=st.none() | texts,
    cut=st.booleans(),
    retokenised=st.booleans(),
)
candidates = st.builds(
    Candidate,
    path=paths,
    text=texts,
    scores=scores,
    tokens=counts,
    ended=endings,
    answer=st.none() | st.builds(Answer, texts, texts),
    votes=st.booleans(),
)
decisions = st.builds(
    Decision, kind=st.sampled_from(get_args(DecisionKind)), paths=tuples(paths), reason=texts
)
spending = st.builds(
    Spent,
    generated=counts,
    prompt=counts,
    cached=counts,
    verifier=counts,
    wasted=counts,
    calls=st.integers(0, 10**6),
    flops=st.none() | floats,
    seconds=st.none() | floats,
)
traces = st.builds(
    Trace,
    problem_id=texts,
    strategy=texts,
    nodes=tuples(nodes),
    decisions=tuples(decisions),
    candidates=tuples(candidates),
    answer=st.none() | texts,
    chosen=st.none() | paths,
    spent=spending,
    selector=texts,
    stopped=st.sampled_from(["complete", "settled", "budget", "deadline"]),
    n=st.integers(0, 512),
)
messages = st.builds(Message, st.sampled_from(["system", "user"]), texts)
problems = st.builds(
    Problem,
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    id=texts.filter(bool),
    question=texts.filter(bool),
    choices=tuples(texts),
    tests=tuples(texts),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
examples = st.builds(
    Example,
    problem=problems,
    reference=st.none() | texts,
    level=st.none() | texts,
    subject=st.none() | texts,
    extra=st.dictionaries(texts, json_values, max_size=3),
)

TRACED = Trace("p", "sample", (), (), (), None, None, Spent())


@given(traces)
def test_a_trace_comes_back_exactly(trace: Trace) -> None:
    back = TRACE.decode(TRACE.encode(trace), "here")
    assert back == trace
    assert repr(back) == repr(trace)  # also -0.0 against 0.0, and 1 against 1.0
    assert back.digest() == trace.digest()


@given(examples)
def test_an_example_comes_back_exactly(example: Example) -> None:
    assert repr(EXAMPLE.decode(EXAMPLE.encode(example), "here")) == repr(example)


@given(st.just(()) | paths)
def test_a_path_comes_back_exactly(path: tuple[int, ...]) -> None:
    assert path_of(path_text(path)) == path


def test_unscored_is_not_scored_with_nothing() -> None:
    node = Node((0,), (), "x", "eos", (), {"none": None, "empty": (), "nan": (math.nan,)})
    trace = Trace("p", "s", (node,), (), (), None, None, Spent())
    (back,) = TRACE.decode(TRACE.encode(trace), "here").nodes
    assert back.scores["none"] is None
    assert back.scores["empty"] == ()
    assert back.token_ids == ()
    assert str(back.scores["nan"]) == "(nan,)"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"not compressed",
        TRACE.encode(TRACED)[:-5],
        zlib.compress(b"no json"),
        zlib.compress(b"[]"),
        zlib.compress(b'{"trace": {}}'),
        zlib.compress(b'{"version": 1}'),
        zlib.compress(b'{"version": 1, "trace": {"problem_id": 3}}'),
        zlib.compress(b'{"version": "one", "trace": {}}'),
    ],
)
def test_a_damaged_record_is_one_line_that_names_it(record: bytes) -> None:
    with pytest.raises(StoreError, match=r"^RUN, problem 'x': its trace is damaged") as caught:
        TRACE.decode(record, "RUN, problem 'x'")
    assert "\n" not in str(caught.value)


def test_a_newer_record_asks_for_an_update() -> None:
    record = zlib.compress(json.dumps({"version": 2, "trace": {"later": True}}).encode())
    with pytest.raises(StoreError, match=r"RUN: its trace has version 2.* update ponder"):
        TRACE.decode(record, "RUN")
