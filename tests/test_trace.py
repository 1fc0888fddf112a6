"""The digest covers what the search did, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.trace import Decision, Node, Spent, Trace
from ponder.types import Answer, Candidate

NODES = (
    Node((0,), (), "a\n\n", "separator", (1, 2), {"v": (0.5,)}, tokens=2, prompt_tokens=3),
    Node((0, 1), (0,), "b", "eos", (3,), {"v": None}, tokens=1, prompt_tokens=5),
)
TRACE = Trace(
    problem_id="p",
    strategy="beam_search",
    nodes=NODES,
    decisions=(Decision("kept", ((0,),), "score 0.5"),),
    candidates=(Candidate((0, 1), "a\n\nb", {"v": None}, 3, "eos", Answer("1", "n:1")),),
    answer="1",
    chosen=(0, 1),
    spent=Spent(generated=3, prompt=8, verifier=0, calls=2, seconds=1.0),
)


@pytest.mark.parametrize(
    "same",
    [
        replace(TRACE, nodes=NODES[::-1]),
        replace(TRACE, spent=replace(TRACE.spent, seconds=9.0, cached=4, wasted=7, calls=5)),
        replace(TRACE, nodes=(replace(NODES[0], retokenised=True), NODES[1])),
    ],
)
def test_clock_cache_and_waste_do_not_count(same: Trace) -> None:
    assert same.digest() == TRACE.digest()


@pytest.mark.parametrize(
    "other",
    [
        replace(TRACE, problem_id="q"),
        replace(TRACE, answer=None),
        replace(TRACE, chosen=(0,)),
        replace(TRACE, decisions=()),
        replace(TRACE, nodes=(replace(NODES[0], text="A\n\n"), NODES[1])),
        replace(TRACE, nodes=(replace(NODES[0], token_ids=(1, 3)), NODES[1])),
        replace(TRACE, nodes=(replace(NODES[0], scores={"v": (0.5000001,)}), NODES[1])),
        replace(TRACE, nodes=(replace(NODES[0], error="lost"), NODES[1])),
        replace(TRACE, nodes=NODES[:1]),
        replace(TRACE, candidates=(replace(TRACE.candidates[0], votes=False),)),
        replace(TRACE, spent=replace(TRACE.spent, generated=4)),
        replace(TRACE, spent=replace(TRACE.spent, verifier=None)),
    ],
)
def test_what_was_done_and_found_counts(other: Trace) -> None:
    assert other.digest() != TRACE.digest()
