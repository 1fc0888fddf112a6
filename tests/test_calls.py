"""How calls are named and written: a run that an earlier version made is found again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from hashlib import sha256

import pytest

from ponder.session.calls import pack_completion, sample_requests, seed_of, unpack_completion
from ponder.types import Completion, Prefix, Problem, Sampling, Step, Usage

PREFIX = Prefix.root(Problem.ask("What is it?", "p1")).grow(Step("a\n\n", (1, 2), "t"))
SAMPLING = Sampling(temperature=0.5, top_k=3, max_step_tokens=9, separator="\n\n", stop=("x",))


def test_a_sample_has_the_name_that_it_always_had() -> None:
    assert seed_of(7, "p1", (0, 2)) == 918475398
    assert sample_requests(PREFIX, SAMPLING)(5) == "343cb4dda7b39219262728306f74d103"


@pytest.mark.parametrize("text", ["a\n\n", "", '"é\u2028', "\ud800 half"])
@pytest.mark.parametrize("token_ids", [None, (), (7,), (1, 2**40)])
@pytest.mark.parametrize("tokenizer", [None, 'a "b"'])
def test_a_prefix_is_named_by_the_json_of_its_step(
    text: str, token_ids: tuple[int, ...] | None, tokenizer: str | None
) -> None:
    root = Prefix.root(Problem.ask("?", "p"))
    seen = json.dumps([text, token_ids, tokenizer]).encode()
    assert root.grow(Step(text, token_ids, tokenizer)).key == sha256(root.key + seen).digest()


def test_numbers_without_end_and_half_characters_are_kept() -> None:
    told = Completion(0, "\ud800", "eos", Usage(), (1,), "t", (-math.inf,), (1,))
    assert unpack_completion(pack_completion(told), 0) == told
    whole = replace(told, text="a", logprobs=(-math.inf, math.nan))
    assert b'"logprobs":[-Infinity,NaN]' in pack_completion(whole).content


def test_a_completion_is_written_with_what_it_tells() -> None:
    told = Completion(
        3, "né", "eos", Usage(1, None, 2), (1, 2), "t", (-0.5, -1.0), (1, 2), retokenised=True
    )
    kept = {name: value for name, value in asdict(told).items() if value is not None}
    del kept["index"]
    kept["usage"] = [1, None, 2]
    record = pack_completion(told)
    assert json.loads(record.content) == json.loads(json.dumps(kept))
    assert not record.failed
