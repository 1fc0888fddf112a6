from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends import tree_passes
from ponder.backends.prefix_tree import Growth, Outputs
from ponder.backends.problem_tree import Reading
from ponder.backends.tree_cache import TreeCache
from ponder.backends.tree_passes import TreePasses
from ponder.backends.tree_reader import TreeReader
from ponder.errors import UsageError, VerifierError
from ponder.types import Problem, ScoreFailure
from tests.tree_models import PathTrees, Slots, beam_rounds, distinct_tokens, expected

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=6)


def check(sequences: list[list[int]], answers: list[Outputs | ScoreFailure]) -> None:
    assert len(sequences) == len(answers)
    for sequence, outputs in zip(sequences, answers, strict=True):
        assert isinstance(outputs, np.ndarray)
        assert outputs.dtype == np.float32
        np.testing.assert_array_equal(outputs, expected(sequence))


async def search(reader: TreeReader, seed: int, depth: int) -> list[list[int]]:
    """Every sequence of a beam search, each checked."""
    problem, asked = Problem.ask(f"problem {seed}"), []
    for sequences in beam_rounds(seed, depth):
        check(sequences, await reader.read(problem, sequences))
        asked += sequences
    return asked


async def searches(reader: TreeReader, problems: int, depth: int) -> int:
    """Several at once; the distinct tokens of all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(search(reader, seed, depth)) for seed in range(problems)]
    return sum(distinct_tokens(task.result()) for task in tasks)


@pytest.mark.parametrize("depth", [10, pytest.param(20, marks=pytest.mark.long)])
async def test_each_distinct_token_is_computed_once(depth: int) -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=512, cache_tokens=10**6)
    distinct = await searches(reader, 16, depth)
    await reader.aclose()
    counts = reader.counts
    assert counts.distinct == counts.computed == model.computed == distinct
    assert counts.peak_cache_tokens <= distinct
    assert counts.passes == len(model.passes)
    assert counts.dropped == 0


async def test_a_pass_holds_tokens_of_several_problems_and_no_more_than_it_may() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=256, cache_tokens=10**6)
    await searches(reader, 8, 3)
    await reader.aclose()
    sizes = [sum(len(growth.token_ids) for growth in growths) for growths in model.passes]
    assert max(sizes) <= 256
    assert max(len(growths) for growths in model.passes) > 1
    assert len(sizes) <= sum(sizes) / 128, "passes are at least half full"


async def test_the_oldest_problem_is_read_first() -> None:
    """A second step of the first problem goes before what waits of a younger one."""
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=10**6)
    old, young = Problem.ask("old"), Problem.ask("young")
    await reader.read(old, [[1] * 8])
    ended: list[str] = []

    async def read(name: str, problem: Problem, sequence: list[int]) -> None:
        await reader.read(problem, [sequence])
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(read("young", young, [number + 2] * 64))
        group.create_task(read("old", old, [1] * 8 + [2] * 8))
    await reader.aclose()
    assert ended.index("old") <= 1


@pytest.mark.parametrize("cache_tokens", [1, 150, 700, 2500])
async def test_a_small_cache_costs_time_and_changes_no_score(cache_tokens: int) -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=200, cache_tokens=cache_tokens)
    distinct = await searches(reader, 4, 5)
    await reader.aclose()
    counts = reader.counts
    assert counts.distinct == distinct
    assert counts.computed == model.computed
    assert counts.ratio == model.computed / distinct > 1
    assert counts.dropped > 0
    longest = 80 + 5 * 28
    assert counts.peak_cache_tokens <= max(cache_tokens, longest)


@given(
    st.lists(st.tuples(st.integers(0, 2), SEQUENCES), min_size=1, max_size=5),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_passes_give_every_sequence_its_outputs(
    calls: list[tuple[int, list[list[int]]]], tokens_a_pass: int, cache_tokens: int
) -> None:
    model = PathTrees()
    cache: TreeCache[Slots] = TreeCache(cache_tokens)
    passes = TreePasses(model, cache, tokens_a_pass)
    problems = [Problem.ask(str(number)) for number in range(3)]
    taken: list[Outputs] = []
    readings = [
        Reading[Slots](problems[number], cache.tree(problems[number]), sequence, taken.append)
        for number, sequences in calls
        for sequence in sequences
    ]
    waiting = readings
    while waiting:
        planned = passes.plan(waiting)
        passes.compute(planned)
        done = [reading for reading in waiting if passes.finish(reading)]
        for reading in done:
            np.testing.assert_array_equal(taken.pop(0), expected(reading.token_ids))
        assert planned.ends or done, "every pass makes progress"
        waiting = [reading for reading in waiting if not reading.finished]
    asked = [[number, *ids] for number, sequences in calls for ids in sequences]
    assert passes.counts.distinct == distinct_tokens(asked) - len({number for number, _ in calls})


async def test_equal_and_shorter_sequences_cost_nothing_more() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=1000)
    problem = Problem.ask("x")
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(reader.read(problem, [[1, 2, 3], [1, 2, 3]]))
    check([[1, 2]], await reader.read(problem, [[1, 2]]))
    await reader.aclose()
    assert model.computed == 3


async def test_problems_that_are_equal_but_not_the_same_have_trees_of_their_own() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=1000)
    one, other = Problem.ask("x"), Problem.ask("x")
    await reader.read(one, [[1, 2]])
    await reader.read(other, [[1, 2]])
    await reader.aclose()
    assert one == other
    assert model.computed == 4


async def test_a_tree_goes_with_its_problem() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=30)
    for number in range(6):
        await reader.read(Problem.ask(str(number)), [[number] * 20])
        gc.collect()
    await reader.aclose()
    assert reader.counts.peak_cache_tokens <= 30
    assert reader.counts.dropped == 0, "nothing had to be pushed out"


async def test_a_sequence_that_cannot_be_read_fails_alone() -> None:
    model = PathTrees(longest=4)
    reader = TreeReader(model, tokens_a_pass=64, cache_tokens=1000)
    long, right, empty = await reader.read(Problem.ask("x"), [[1] * 5, [1, 2], []])
    await reader.aclose()
    assert long == ScoreFailure("5 tokens are more than the 4 that the model can read")
    assert empty == ScoreFailure("there are no tokens to read")
    check([[1, 2]], [right])
    assert model.computed == 2


async def test_a_failure_of_the_model_fails_the_calls_of_its_pass_only() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=8, cache_tokens=1000)
    first, second = Problem.ask("1"), Problem.ask("2")
    check([[1, 2, 3]], await reader.read(first, [[1, 2, 3]]))
    model.fails = [RuntimeError("a kernel\nwent wrong")]
    failing = asyncio.create_task(reader.read(first, [[1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]]))
    await asyncio.sleep(0)
    other = asyncio.create_task(reader.read(second, [[5, 6]]))
    with pytest.raises(VerifierError, match=r"RuntimeError: a kernel went wrong$"):
        await failing
    check([[5, 6]], await other)
    check([[1, 2, 3, 4]], await reader.read(first, [[1, 2, 3, 4]]))
    await reader.aclose()
    assert reader.counts.computed == model.computed


async def test_known_tokens_are_answered_although_the_pass_fails() -> None:
    model = PathTrees()
    reader = TreeReader(model, tokens_a_pass=100, cache_tokens=1000)
    problem = Problem.ask("1")
    await reader.read(problem, [[1, 2, 3]])
    model.fails = [RuntimeError("broken")]
    known = asyncio.create_task(reader.read(problem, [[1, 2]]))
    new = asyncio.create_task(reader.read(problem, [[1, 2, 9]]))
    with pytest.raises(VerifierError):
        await new
    check([[1, 2]], await known)
    await reader.aclose()


async def test_out_of_memory_makes_passes_smaller() -> None:
    model = PathTrees()
    model.most = 40
    reader = TreeReader(model, tokens_a_pass=256, cache_tokens=10**6)
    await searches(reader, 3, 3)
    await reader.aclose()
    assert reader.counts.halved == 3
    assert reader.counts.computed == model.computed


async def test_out_of_memory_in_the_smallest_pass_is_a_failure() -> None:
    model = PathTrees()
    model.most = tree_passes.SMALLEST_PASS - 1
    reader = TreeReader(model, tokens_a_pass=20, cache_tokens=1000)
    problem = Problem.ask("1")
    with pytest.raises(VerifierError, match="MemoryError: a pass is too large"):
        await reader.read(problem, [list(range(50))])
    check([[1, 2]], await reader.read(problem, [[1, 2]]))
    await reader.aclose()


async def test_keys_and_values_out_of_memory_make_the_cache_smaller() -> None:
    model = PathTrees()
    model.room = 1500
    reader = TreeReader(model, tokens_a_pass=256, cache_tokens=10**6)
    await searches(reader, 30, 2)
    await reader.aclose()
    counts = reader.counts
    assert counts.lowered > 0
    assert counts.halved == 0, "the passes were not what was too large"
    assert counts.computed == model.computed


async def test_many_branches_of_one_problem_stay_within_the_memory() -> None:
    model = PathTrees()
    model.room = 3000
    reader = TreeReader(model, tokens_a_pass=256, cache_tokens=10**6)
    problem, sequences = Problem.ask("x"), next(beam_rounds(1, 1, n=256))
    assert distinct_tokens(sequences) > 1.5 * model.room
    check(sequences, await reader.read(problem, sequences))
    await reader.aclose()
    assert reader.counts.lowered == 1


async def test_what_others_held_is_freed_before_the_smallest_pass_fails() -> None:
    model = PathTrees()
    model.room = 100
    reader = TreeReader(model, tokens_a_pass=tree_passes.SMALLEST_PASS, cache_tokens=10**6)
    problems = [Problem.ask(str(number)) for number in range(4)]
    for number, problem in enumerate(problems):
        check([[number] * 90], await reader.read(problem, [[number] * 90]))
    with pytest.raises(VerifierError, match="MemoryError: the keys and values are too many"):
        await reader.read(problems[0], [[9] * 101])
    check([[9] * 99], await reader.read(problems[1], [[9] * 99]))
    await reader.aclose()


async def test_outputs_that_are_not_one_row_a_token_are_a_failure() -> None:
    class Short(PathTrees):
        def extend(self, trees: Sequence[tuple[Slots, Growth]]) -> list[Outputs]:
            return [outputs[:-1] for outputs in super().extend(trees)]

    reader = TreeReader(Short(), tokens_a_pass=20, cache_tokens=1000)
    with pytest.raises(VerifierError, match=r"outputs of shape \(2, 2\) for 3 tokens"):
        await reader.read(Problem.ask("1"), [[1, 2, 3]])
    await reader.aclose()


async def test_a_cancelled_call_takes_no_other_along(reader: TreeReader) -> None:
    problem = Problem.ask("1")
    tasks = [asyncio.create_task(reader.read(problem, [[1, 2, number]])) for number in range(6)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    for number, task in enumerate(tasks):
        if number % 2:
            check([[1, 2, number]], await task)
        else:
            with pytest.raises(asyncio.CancelledError):
                await task


class Gated(PathTrees):
    """Waits in each pass until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()

    def extend(self, trees: Sequence[tuple[Slots, Growth]]) -> list[Outputs]:
        self.entered.set()
        assert self.gate.wait(10)
        return super().extend(trees)


async def test_a_call_cancelled_between_its_passes_leaves_its_room() -> None:
    model = Gated()
    reader = TreeReader(model, tokens_a_pass=16, cache_tokens=60)
    first, second = Problem.ask("1"), Problem.ask("2")
    cancelled = asyncio.create_task(reader.read(first, [[1] * 40]))
    assert await asyncio.to_thread(model.entered.wait, 10)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    model.gate.set()
    check([[2] * 40], await reader.read(second, [[2] * 40]))
    await reader.aclose()
    assert model.computed == 16 + 40, "nothing is computed for those that are gone"
    assert reader.counts.dropped == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_no_caller_waits_for_a_thread_that_has_ended(
    reader: TreeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(TreePasses, "plan", broken)
    for _ in range(2):
        with pytest.raises(VerifierError, match="closed"):
            await reader.read(Problem.ask("1"), [[1]])


async def test_a_closed_reader_refuses_and_leaves_no_caller_waiting() -> None:
    reader = TreeReader(PathTrees(), tokens_a_pass=16, cache_tokens=1000)
    await reader.aclose()
    with pytest.raises(VerifierError, match="closed"):
        await reader.read(Problem.ask("1"), [[1]])
    await reader.aclose()


async def test_closing_fails_the_calls_that_still_wait() -> None:
    reader = TreeReader(PathTrees(), tokens_a_pass=16, cache_tokens=10**6)
    calls = [
        asyncio.create_task(reader.read(Problem.ask(str(number)), [[number] * 2000]))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    await reader.aclose()
    answers = await asyncio.wait(calls)
    assert any(isinstance(task.exception(), VerifierError) for task in answers[0])


@pytest.mark.parametrize("name", ["tokens_a_pass", "cache_tokens"])
def test_limits_are_positive(name: str) -> None:
    limits = {"tokens_a_pass": 1, "cache_tokens": 1, name: 0}
    with pytest.raises(UsageError, match=f"`{name}` must be at least 1, got 0"):
        TreeReader(PathTrees(), **limits)


@pytest.fixture
async def reader() -> AsyncIterator[TreeReader]:
    reader = TreeReader(PathTrees(), tokens_a_pass=64, cache_tokens=1000)
    yield reader
    await reader.aclose()
