"""How calls are named and written: a run that an earlier version made is found again."""

from __future__ import annotations

import json
from dataclasses import asdict

from ponder.session.calls import pack_completion, sample_request, seed_of
from ponder.types import Completion, Prefix, Problem, Sampling, Step, Usage

PREFIX = Prefix.root(Problem.ask("What is it?", "p1")).grow(Step("a\n\n", (1, 2), "t"))
SAMPLING = Sampling(temperature=0.5, top_k=3, max_step_tokens=9, separator="\n\n", stop=("x",))


def test_a_sample_has_the_name_that_it_always_had() -> None:
    assert seed_of(7, "p1", (0, 2)) == 918475398
    assert sample_request(PREFIX, SAMPLING, 5) == "343cb4dda7b39219262728306f74d103"


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
