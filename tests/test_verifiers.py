"""Every verifier keeps the contract; and what each promises of its own."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ponder.errors import UsageError, VerifierError
from ponder.recipes.registry import verifier_of
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.function import FunctionVerifier, load_function
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.reading import filled, step_texts
from ponder.verifiers.scripted import ScriptedVerifier
from tests.contracts.verifier_contract import CONTRACT, PROBLEM, Check, grown, scores_of


def by_length(problem: Problem, texts: tuple[str, ...]) -> list[float]:
    return [min(len(text), 100) / 100 for text in texts]


async def how_many(problem: Problem, texts: tuple[str, ...]) -> float:
    return -float(len(texts))


def mixed() -> MixVerifier:
    whole = FunctionVerifier(how_many, scores="solution", low=-50, high=0, estimates="value")
    return MixVerifier([(ArithmeticVerifier(), 3), (whole, 1)])


VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "arithmetic": ArithmeticVerifier,
    "arithmetic with sources": lambda: ArithmeticVerifier(sources=True),
    "confidence": ConfidenceVerifier,
    "arithmetic mean confidence": lambda: ConfidenceVerifier("arithmetic"),
    "random": lambda: RandomVerifier(seed=3),
    "scripted": lambda: ScriptedVerifier(by_length, latency=0.001, tokens=2),
    "function": lambda: FunctionVerifier(by_length),
    "async function of solutions": lambda: FunctionVerifier(
        how_many, scores="solution", low=-50, high=0
    ),
    "mix": mixed,
    "mix of solutions": lambda: MixVerifier(
        [(FunctionVerifier(how_many, scores="solution", low=-50, high=0), 1.0)]
    ),
}


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", VERIFIERS.values(), ids=VERIFIERS)
async def test_contract(make: Callable[[], Verifier], check: Check) -> None:
    verifier = make()
    try:
        await check(verifier)
    finally:
        await verifier.aclose()


async def one(verifier: Verifier, prefix: Prefix) -> StepScores | ScoreFailure:
    (answer,) = await verifier.score(PROBLEM, [prefix])
    return answer


async def reason(verifier: Verifier, prefix: Prefix) -> str:
    answer = await one(verifier, prefix)
    assert isinstance(answer, ScoreFailure)
    assert "\n" not in answer.reason
    return answer.reason


async def scores(verifier: Verifier, *texts: str) -> tuple[float, ...]:
    (answer,) = await scores_of(verifier, grown(*texts))
    return answer.scores


# Reading


def test_step_texts_lose_separator_and_space_at_their_end_only() -> None:
    prefix = grown("  a b\n\n", "c\n \n\n", "d ##", "")
    assert step_texts(prefix) == ("  a b", "c", "d ##", "")
    assert step_texts(prefix.grow(Step("e ##\n", tail=3))) == ("  a b", "c", "d ##", "", "e")


def test_filled_repeats_the_score_before() -> None:
    assert filled([None, 0.2, None, None, 0.9, None], 0.5) == (0.5, 0.2, 0.2, 0.2, 0.9, 0.9)


# Arithmetic


async def test_arithmetic_scores_right_wrong_and_no_sums() -> None:
    steps = ("6 * 7 = 42.\n\n", "So 42 - 2 = 41.", "2 + 2 = 4 and 2 + 3 = 6.", "The answer is 41.")
    assert await scores(ArithmeticVerifier(), *steps) == (1.0, 0.0, 0.0, 0.5)
    knobs = ArithmeticVerifier(right=0.9, neutral=0.4, wrong=0.1)
    assert await scores(knobs, *steps) == (0.9, 0.1, 0.1, 0.4)


async def test_empty_steps_change_neither_the_last_nor_the_least_score() -> None:
    assert await scores(ArithmeticVerifier(), "1 + 1 = 3", "", " \n") == (0.0, 0.0, 0.0)
    assert await scores(ArithmeticVerifier(), "\n\n", "1 + 1 = 2", "") == (0.5, 1.0, 1.0)


async def test_sources_marks_numbers_from_nowhere() -> None:
    strict = ArithmeticVerifier(sources=True)
    assert PROBLEM.question == "Kim buys 6 packs of 7 cards and gives 2 away. How many are left?"
    assert await scores(strict, "6 * 7 = 42", "42 - 2 = 40") == (1.0, 1.0)
    assert await scores(strict, "6 * 9 = 54", "54 - 2 = 52") == (0.2, 1.0)
    assert await scores(strict, "42 - 2 = 40", "6 * 7 = 42") == (0.2, 1.0)
    assert await scores(strict, "6 * 7 = 42 - 2 = 40", "40 / 100 = 0.4") == (1.0, 0.2)
    assert await scores(strict, "6 * 9 = 55") == (0.0,)
    assert await scores(ArithmeticVerifier(), "6 * 9 = 54") == (1.0,)
    hundred = ArithmeticVerifier(sources=True, constants=(100,))
    assert await scores(hundred, "6 * 7 = 42 - 2 = 40", "40 / 100 = 0.4") == (1.0, 1.0)


async def test_sources_marks_numbers_that_are_used_more_often_than_given() -> None:
    strict = ArithmeticVerifier(sources=True)
    assert await scores(strict, "6 * 6 = 36", "36 - 2 = 34") == (0.2, 1.0)
    assert await scores(strict, "6 * 7 = 42", "42 - 2 = 40", "42 - 2 = 40") == (1.0, 1.0, 0.2)
    assert await scores(strict, "6 - 2 = 4", "4 + 7 = 11", "11 + 4 = 15") == (1.0, 1.0, 0.2)


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        (("6 * 7 = 42", "42 - 2 = 40", "The answer is 40."), 1.0),
        (("6 * 7 = 42", "42 - 2 = 40. The answer is 40."), 1.0),
        (("6 * 7 = 42", "42 - 2 = 40", "The answer is 42."), 0.2),
        (("6 * 7 = 42", "The answer is 42."), 0.2),
        (("The answer is 40.",), 0.2),
        (("6 * 7 = 42", "42 - 2 = 41. The answer is 41."), 0.0),
        (("6 * 7 = 42", "42 - 2 = 40", "The answer is unknown."), 0.5),
    ],
)
async def test_sources_settles_the_account_at_the_answer(
    steps: tuple[str, ...], last: float
) -> None:
    assert (await scores(ArithmeticVerifier(sources=True), *steps))[-1] == last


async def test_sources_reads_numbers_in_words() -> None:
    problem = Problem.ask("Three friends share a dozen buns. Each eats half.")
    prefix = Prefix.root(problem).grow(Step("12 / 3 = 4")).grow(Step("4 / 2 = 2"))
    (answer,) = await ArithmeticVerifier(sources=True, constants=()).score(problem, [prefix])
    assert answer == StepScores((1.0, 1.0))


def test_arithmetic_names_a_knob_out_of_range() -> None:
    with pytest.raises(UsageError, match="`wrong` must be between 0 and 1, got -1"):
        ArithmeticVerifier(wrong=-1)


def test_knobs_are_part_of_the_identity() -> None:
    made: list[Verifier] = [
        ArithmeticVerifier(),
        ArithmeticVerifier(neutral=0.6),
        ArithmeticVerifier(sources=True),
        ArithmeticVerifier(sources=True, constants=(1,)),
        RandomVerifier(0),
        RandomVerifier(1),
        ConfidenceVerifier(),
        ConfidenceVerifier("arithmetic"),
        mixed(),
        MixVerifier([(RandomVerifier(0), 1)]),
        FunctionVerifier(by_length),
        FunctionVerifier(how_many),
    ]
    assert len({verifier.info.identity for verifier in made}) == len(made)
    assert ArithmeticVerifier().info.estimates == "correctness"


# Confidence


async def test_confidence_is_the_mean_probability_of_a_steps_tokens() -> None:
    step = Step("a b", logprobs=(math.log(0.5), math.log(0.125)))
    prefix = Prefix.root(PROBLEM).grow(step).grow(Step("c", logprobs=(0.0,)))
    geometric, arithmetic = ConfidenceVerifier(), ConfidenceVerifier("arithmetic")
    (first,), (second,) = await scores_of(geometric, prefix), await scores_of(arithmetic, prefix)
    assert first.scores == pytest.approx((0.25, 1.0))
    assert second.scores == pytest.approx((0.3125, 1.0))


@pytest.mark.parametrize("logprobs", [None, (), (-0.1, math.nan)])
async def test_confidence_without_log_probabilities_is_a_failure(
    logprobs: tuple[float, ...] | None,
) -> None:
    prefix = grown("a b").grow(Step("c d", logprobs=logprobs))
    assert await reason(ConfidenceVerifier(), prefix) == "step 2 came without log-probabilities"


async def test_confidence_bears_the_edges_of_log_probabilities() -> None:
    prefix = Prefix.root(PROBLEM).grow(Step("a", logprobs=(1e-6,)))
    prefix = prefix.grow(Step("b", logprobs=(-math.inf,))).grow(Step(" "))
    assert await one(ConfidenceVerifier(), prefix) == StepScores((1.0, 0.0, 0.0))


def test_confidence_names_an_unknown_mean() -> None:
    with pytest.raises(UsageError, match="`mean` must be geometric or arithmetic, got 'median'"):
        ConfidenceVerifier("median")  # type: ignore[arg-type]


# Random


async def test_random_depends_on_seed_and_path_only() -> None:
    texts = [f"step {number}" for number in range(200)]
    first = await scores(RandomVerifier(1), *texts)
    assert first == await scores(RandomVerifier(1), *texts)
    assert first[:50] == await scores(RandomVerifier(1), *texts[:50])
    assert first != await scores(RandomVerifier(2), *texts)
    assert len(set(first)) == 200
    assert 0.4 < sum(first) / 200 < 0.6


# Function


async def test_a_plain_function_runs_in_one_other_thread() -> None:
    threads: list[int] = []
    running = SimpleNamespace(now=0, most=0)

    def slow(problem: Problem, texts: tuple[str, ...]) -> list[float]:
        threads.append(threading.get_ident())
        running.now += 1
        running.most = max(running.most, running.now)
        time.sleep(0.005)
        running.now -= 1
        return by_length(problem, texts)

    verifier = FunctionVerifier(slow)
    async with asyncio.TaskGroup() as group:
        for name in "ab":
            group.create_task(verifier.score(PROBLEM, [grown(name + str(i)) for i in range(3)]))
    await verifier.aclose()
    assert len(threads) == 6
    assert set(threads).isdisjoint({threading.get_ident()})
    assert running.most == 1


async def test_an_async_function_runs_for_all_prefixes_at_once() -> None:
    arrived = asyncio.Barrier(5)

    async def meet(problem: Problem, texts: tuple[str, ...]) -> list[float]:
        await asyncio.wait_for(arrived.wait(), 5)
        return by_length(problem, texts)

    answers = await FunctionVerifier(meet).score(PROBLEM, [grown("x" * i) for i in range(1, 6)])
    assert answers == [StepScores((i / 100,)) for i in range(1, 6)]


async def test_equal_prefixes_are_asked_about_once() -> None:
    asked: list[tuple[str, ...]] = []

    def note(problem: Problem, texts: tuple[str, ...]) -> list[float]:
        asked.append(texts)
        return [float(len(asked) == 1)]

    answers = await FunctionVerifier(note).score(PROBLEM, [grown("a\n\n"), grown("a\n\n")])
    assert answers == [StepScores((1.0,))] * 2
    assert asked == [("a",)]


class Callable2:
    """A callable object whose call is async, which only its answer shows."""

    async def __call__(self, problem: Problem, texts: tuple[str, ...]) -> list[float]:
        return by_length(problem, texts)


async def test_any_callable_and_any_iterable_will_do() -> None:
    def generated(problem: Problem, texts: tuple[str, ...]) -> Iterable[float]:
        return (0.5 for _ in texts)

    assert await scores(FunctionVerifier(Callable2()), "abc") == (0.03,)
    assert await scores(FunctionVerifier(generated), "a", "b") == (0.5, 0.5)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([0.1], "function returned 1 scores for 2 steps"),
        ([0.1, 1.5], "function returned 1.5, not in 0.0 to 1.0"),
        ([0.1, math.nan], "function returned nan, not in 0.0 to 1.0"),
        (0.5, "function must return a list of numbers, got float"),
        (None, "function: TypeError: 'NoneType' object is not iterable"),
        (["a", 0.1], "function: ValueError: could not convert string to float: 'a'"),
    ],
)
async def test_a_wrong_answer_is_a_failure(answer: object, told: str) -> None:
    verifier = FunctionVerifier(lambda problem, texts: answer)  # type: ignore[arg-type,return-value]
    assert await reason(verifier, grown("a", "b")) == told


async def test_a_solution_function_must_return_one_number() -> None:
    verifier = FunctionVerifier(by_length, scores="solution", name="mine")
    assert await reason(verifier, grown("a")) == "mine must return one number, got list"


async def test_an_exception_fails_its_prefix_only() -> None:
    def picky(problem: Problem, texts: tuple[str, ...]) -> list[float]:
        if texts == ("bad",):
            raise RuntimeError("no\nsuch  step")
        return [0.5]

    bad, good = await FunctionVerifier(picky).score(PROBLEM, [grown("bad"), grown("good")])
    assert bad == ScoreFailure("function: RuntimeError: no such step")
    assert good == StepScores((0.5,))


async def test_a_function_is_found_by_name_beside_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_scores.py").write_text(
        "def half(problem, steps):\n    return [0.5] * len(steps)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    verifier = FunctionVerifier("my_scores:half")
    assert await scores(verifier, "a", "b") == (0.5, 0.5)
    assert verifier.info.identity.startswith("function:my_scores:half@")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("half", "a function is named as module:name, got 'half'"),
        (":half", "a function is named as module:name, got ':half'"),
        ("no_such_module:half", "cannot load the function 'no_such_module:half': No module named"),
        (
            "math:half",
            "cannot load the function 'math:half': module 'math' has no attribute 'half'",
        ),
    ],
)
def test_a_function_that_cannot_be_found_is_one_line(spec: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_function(spec)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("./score.py:judge", "a function is named by its module, as score:judge"),
        ("unready:judge", "NameError: name 'score' is not defined"),
        ("unread:judge", "SyntaxError: "),
    ],
)
def test_a_module_that_cannot_be_read_is_one_line(
    spec: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unready.py").write_text("score(1)\n")
    (tmp_path / "unread.py").write_text("def judge(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(UsageError) as caught:
        load_function(spec)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        (
            {"treshold": 1},
            "tests.test_verifiers:by_length has no knob 'treshold': it has estimates",
        ),
        ({"low": "abc"}, "the knob 'low' should be a valid number"),
        ({"scores": "solutions"}, "`scores` must be one of steps, solution, got 'solutions'"),
        ({"estimates": "luck"}, "`estimates` must be one of correctness, value, got 'luck'"),
        ({"function": "math:pi"}, "has no knob 'function'"),
    ],
)
def test_knobs_of_a_function_are_checked(knobs: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        verifier_of("tests.test_verifiers:by_length", knobs)
    assert told in str(caught.value)


def test_what_is_no_function_or_no_range_is_named() -> None:
    with pytest.raises(UsageError, match=r"`function` must be callable, got 3\.14"):
        FunctionVerifier("math:pi")
    with pytest.raises(UsageError, match="`low` must be below `high`, got 1 and 1"):
        FunctionVerifier(by_length, low=1, high=1)


# Mix


async def test_a_mix_weighs_its_parts_on_one_scale() -> None:
    low = ScriptedVerifier(lambda _, texts: [-1.0] * len(texts), low=-1, high=1, tokens=3)
    high = ScriptedVerifier(lambda _, texts: [0.5] * len(texts), tokens=1)
    mix = MixVerifier([(low, 1), (high, 3)])
    assert await one(mix, grown("a", "b")) == StepScores((0.375, 0.375), tokens=(0, 4, 4))
    assert mix.info.scores == "steps"


async def test_a_solutions_score_counts_at_every_step() -> None:
    steps = ScriptedVerifier(lambda _, texts: [i / 10 for i in range(len(texts))], tokens=None)
    whole = ScriptedVerifier(lambda _, texts: [1.0], scores="solution", estimates="value")
    mix = MixVerifier([(steps, 1), (whole, 1)])
    assert await one(mix, grown("a", "b")) == StepScores((0.5, 0.55), tokens=None)
    assert mix.info.estimates == "value"
    assert MixVerifier([(whole, 1), (whole, 2)]).info.scores == "solution"


def test_a_mix_needs_ranges_with_ends() -> None:
    endless = FunctionVerifier(by_length, low=0, high=math.inf)
    with pytest.raises(UsageError, match="scores from 0 to inf: a mix puts its parts on 0 to 1"):
        MixVerifier([(endless, 1)])


async def test_a_failed_part_fails_the_prefix() -> None:
    def failing(problem: Problem, texts: tuple[str, ...]) -> ScoreFailure | list[float]:
        return ScoreFailure("too long") if texts == ("bad",) else [0.5]

    part = ScriptedVerifier(failing, name="judge")
    mix = MixVerifier([(RandomVerifier(), 1), (part, 1)])
    bad, good = await mix.score(PROBLEM, [grown("bad"), grown("good")])
    assert bad == ScoreFailure("judge: too long")
    assert isinstance(good, StepScores)


async def test_a_part_that_breaks_or_miscounts_fails_the_prefix() -> None:
    def broken(problem: Problem, texts: tuple[str, ...]) -> list[float]:
        raise VerifierError("the scorer is gone")

    gone = MixVerifier([(ScriptedVerifier(broken), 1)])
    short = MixVerifier([(ScriptedVerifier(lambda _, texts: [0.5]), 1)])
    assert await reason(gone, grown("a")) == "scripted: the scorer is gone"
    assert await reason(short, grown("a", "b")) == "scripted: 1 scores for 2 steps"


@pytest.mark.parametrize("weight", [0, -1, math.inf, math.nan])
def test_a_mix_names_a_bad_weight(weight: float) -> None:
    with pytest.raises(UsageError, match="the weight of 'random' in a mix must be over 0"):
        MixVerifier([(RandomVerifier(), weight)])
    with pytest.raises(UsageError, match="at least one part"):
        MixVerifier([])


# Scripted


async def test_scripted_reports_failures_latency_and_tokens() -> None:
    def script(problem: Problem, texts: tuple[str, ...]) -> list[float] | ScoreFailure:
        return ScoreFailure("as told") if "fail" in texts else [0.5] * len(texts)

    verifier = ScriptedVerifier(script, latency=lambda prefix: 0.02 * prefix.depth, tokens=7)
    began = time.monotonic()
    answers = await verifier.score(PROBLEM, [grown("a", "b"), grown("fail")])
    assert time.monotonic() - began >= 0.04
    assert answers == [StepScores((0.5, 0.5), (0, 7, 7)), ScoreFailure("as told")]
