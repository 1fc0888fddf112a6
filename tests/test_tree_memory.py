"""What is held of outputs while many sequences are read, and what follows where memory is out."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ponder.backends.prefix_tree import Growth, Outputs
from ponder.backends.problem_tree import ProblemTree
from ponder.backends.tree_reader import TreeReader
from ponder.errors import VerifierError
from ponder.types import Message, Problem, StepScores
from ponder.verifiers import value_head
from ponder.verifiers.head_config import BaseOf, Precision, Prompt
from ponder.verifiers.head_file import step_features
from ponder.verifiers.state_reader import StateReader
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.contracts.verifier_contract import PROBLEM, grown
from tests.test_value_head import made_head
from tests.tree_models import PathTrees, Slots, distinct_tokens, expected

WIDTH = 1024
SHARED = list(range(300))
BRANCHES = [[*SHARED, 300 + number] for number in range(64)]
BASE = BaseOf(name="wide", sha256="0" * 64, weights="f32")


class WideTrees(PathTrees):
    """Outputs as wide as the states of a small model."""

    def extend(self, trees: Sequence[tuple[Slots, Growth]]) -> list[Outputs]:
        return [np.tile(outputs, (1, WIDTH // 2)) for outputs in super().extend(trees)]


class Letters:
    """A tokenizer: a token a letter, and a long prompt."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        return SHARED

    def text(self, text: str) -> list[int]:
        return [1000 + ord(letter) for letter in text]


class WideBase:
    """A base model over wide outputs."""

    of, engine = BASE, "none"
    computed: Precision = "f32"

    def layers(self, asked: Sequence[int]) -> tuple[int, ...]:
        return tuple(asked)

    def open(self, layers: Sequence[int], *, prompt: Prompt, cache_gb: float = 1.0) -> StateReader:
        return StateReader.over(
            WideTrees(), WIDTH, Letters(), prompt, cache_gb=cache_gb, tokens_a_pass=64
        )


@contextmanager
def few_rows(asked: Sequence[Sequence[int]]) -> Iterator[None]:
    """No more is held than what is distinct, while it grows, and one sequence."""
    rows = 3 * distinct_tokens(asked) + max(map(len, asked))
    assert rows < sum(map(len, asked)) / 4
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < rows * WIDTH * 4


def last(outputs: Outputs) -> list[float]:
    return [float(number) for number in outputs[-1, :2]]


async def test_outputs_are_held_for_one_sequence_at_a_time() -> None:
    reader = TreeReader(WideTrees(), tokens_a_pass=64, cache_tokens=400)
    with few_rows(BRANCHES):
        found = await reader.reduced(Problem.ask("x"), [(ids, last) for ids in BRANCHES])
    await reader.aclose()
    assert found == [expected(ids)[-1].tolist() for ids in BRANCHES]
    assert reader.counts.ratio == 1


async def test_a_value_head_holds_the_states_of_one_prefix_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_head, "find_base", lambda *_, **__: WideBase())
    head = made_head(BASE, WIDTH, engine="none", features="last+mean")
    head.save(tmp_path)
    verifier = ValueHeadVerifier(tmp_path)
    asked = [[*SHARED, *Letters().text(f"{number:02}\n\n")] for number in range(64)]
    prefixes = [grown(f"{number:02}") for number in range(64)]
    with few_rows(asked):
        found = await verifier.score(PROBLEM, prefixes)
    await verifier.aclose()
    for ids, scores in zip(asked, found, strict=True):
        states = np.tile(expected(ids), (1, WIDTH // 2))
        features = step_features(states, len(SHARED), [len(ids)], "last+mean")
        assert isinstance(scores, StepScores)
        assert scores.scores == tuple(head.predict(features))
        assert scores.tokens == (len(SHARED), 4)


async def test_the_cache_of_a_value_head_bounds_keys_values_and_states() -> None:
    megabytes, problems = 2, [Problem.ask(str(number)) for number in range(5)]
    cache_gb = megabytes / 1000
    reader = WideBase().open((1,), prompt="question", cache_gb=cache_gb)
    for problem in problems:
        ends = await reader.reduced(problem, [grown("12")], lambda states: last(states.outputs))
        assert ends == [expected([*SHARED, *Letters().text("12\n\n")])[-1].tolist()]
    await reader.aclose()
    counts = reader.counts
    assert counts.dropped == 4, "two problems do not fit in"
    assert counts.peak_cache_tokens * WIDTH * 4 <= megabytes * 10**6


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """At these copies of outputs, counted from 0, memory is out; those made are counted down."""
    copies: list[int] = []
    along = ProblemTree.along

    def scarce(self: ProblemTree[Slots], path: Sequence[int]) -> Outputs:
        out = 0 in copies
        copies[:] = [number - 1 for number in copies if number]
        if out:
            raise MemoryError("no room for the outputs")
        return along(self, path)

    monkeypatch.setattr(ProblemTree, "along", scarce)
    return copies


async def check(reader: TreeReader, problem: Problem, *sequences: list[int]) -> None:
    found = await reader.reduced(problem, [(ids, last) for ids in sequences])
    assert found == [expected(ids)[-1].tolist() for ids in sequences]


async def test_a_sequence_without_room_for_its_outputs_fails_its_call_alone(
    short: list[int],
) -> None:
    reader = TreeReader(PathTrees(), tokens_a_pass=64, cache_tokens=1000)
    problem = Problem.ask("x")
    short[:] = [0]
    with pytest.raises(VerifierError, match="MemoryError: no room for the outputs"):
        await check(reader, problem, [1, 2, 3])
    await check(reader, problem, [1, 2, 3])
    await reader.aclose()
    assert reader.counts.halved == 0, "no smaller pass would help"


async def test_what_others_held_makes_room_for_outputs(short: list[int]) -> None:
    reader = TreeReader(PathTrees(), tokens_a_pass=64, cache_tokens=1000)
    await check(reader, old := Problem.ask("old"), [7] * 50)
    short[:] = [0]
    await check(reader, new := Problem.ask("new"), [1, 2, 3], [1, 2, 4])
    assert reader.counts.lowered == 1
    await check(reader, old, [7] * 50)
    await check(reader, new, [1, 2, 3])
    await reader.aclose()


async def test_a_pass_is_planned_anew_where_known_outputs_had_no_room(short: list[int]) -> None:
    """Known tokens are taken before a pass: it must not go on with trees that are gone."""
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=1000)
    problem, other = Problem.ask("x"), Problem.ask("y")
    await check(reader, problem, [1, 2, 3])
    await check(reader, other, [4] * 9)
    short[:] = [0]
    async with asyncio.TaskGroup() as group:
        group.create_task(check(reader, problem, [1, 2]))
        group.create_task(check(reader, problem, [1, 2, 9]))
        group.create_task(check(reader, other, [4] * 12))
    await reader.aclose()
    assert reader.counts.lowered == 1
    assert all(len(growth.token_ids) for growths in model.passes for growth in growths)


async def test_what_a_callers_function_raises_is_raised_to_it_alone() -> None:
    def broken(outputs: Outputs) -> None:
        raise ZeroDivisionError("a bug")

    reader = TreeReader(PathTrees(), tokens_a_pass=64, cache_tokens=1000)
    problem = Problem.ask("x")
    failing = asyncio.create_task(reader.reduced(problem, [([1, 2], broken), ([1, 3], broken)]))
    other = asyncio.create_task(check(reader, problem, [1, 2, 3]))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await failing
    await other
    await check(reader, problem, [1, 2])
    await reader.aclose()
