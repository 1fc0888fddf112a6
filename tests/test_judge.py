"""The judge: critiques drawn, verdicts parsed, averaged, and left out when there is none."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.judge_critiques import share_of_yes
from ponder.verifiers.judge_verdicts import (
    before_verdict,
    first_wrong_of,
    majority,
    numbered,
    verdict_of,
)
from ponder.verifiers.remote_wire import TokenProbability
from tests.contracts.verifier_contract import CONTRACT, Check
from tests.fake_judge import FakeJudge, serving
from tests.test_rescore import POOL, ponder, pool_run

YES, NO = "Fine.\n\nIs the solution correct? Yes", "Step 2 is off.\nIs the solution correct? No"
PROBLEM = Problem.ask("What is {solution} + 2?")
STEPS = ("One.\n\n", "Two.\n\n", "Three.")


def saying(*critiques: str) -> FakeJudge:
    return FakeJudge(lambda number, asked: critiques[number % len(critiques)])


@asynccontextmanager
async def opened(fake: FakeJudge, **knobs: Any) -> AsyncGenerator[JudgeVerifier, None]:
    async with serving(fake):
        judge = JudgeVerifier(fake.url, "critic", **{"k": 4, **knobs})
        try:
            yield judge
        finally:
            await judge.aclose()


def grown(*texts: str) -> Prefix:
    prefix = Prefix.root(PROBLEM)
    for text in texts:
        prefix = prefix.grow(Step(text))
    return prefix


async def judged(judge: JudgeVerifier, *texts: str) -> StepScores:
    [answer] = await judge.score(PROBLEM, [grown(*texts)])
    assert isinstance(answer, StepScores), answer
    return answer


async def reason(judge: JudgeVerifier) -> str:
    [answer] = await judge.score(PROBLEM, [grown(*STEPS)])
    assert isinstance(answer, ScoreFailure), answer
    assert "\n" not in answer.reason
    return answer.reason


@pytest.mark.parametrize("style", ["verdict", "forced", "critic"])
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(style: Any, check: Check) -> None:
    says = r"\boxed{-1}" if style == "critic" else YES
    async with opened(saying(says), style=style, k=2) as judge:
        await check(judge)


async def test_verdicts_are_averaged_and_tokens_are_the_last_steps() -> None:
    async with opened(saying(YES, NO, NO, NO)) as judge:
        answer = await judged(judge, *STEPS)
        counts = judge.counts
    assert answer == StepScores((0.25,), (0, 0, 0, 4 * 107))
    assert (counts.critiques, counts.unparsable) == (4, 0)
    assert (counts.prompt, counts.cached, counts.generated) == (400, 240, 28)


async def test_what_is_sent() -> None:
    fake = saying(YES)
    async with opened(fake, k=2) as judge:
        await judged(judge, *STEPS)
        await judged(judge, *STEPS)
    first, second = fake.bodies[:2]
    assert [turn["role"] for turn in first["messages"]] == ["system", "user"]
    asked = first["messages"][-1]["content"]
    assert "What is {solution} + 2?" in asked
    assert "One.\n\nTwo.\n\nThree." in asked
    sampling = {"temperature": 0.4, "top_p": 1.0, "max_tokens": 2048, "top_k": -1, "min_p": 0.0}
    assert sampling.items() <= first.items()
    seeds = [body["seed"] for body in fake.bodies]
    assert first["seed"] != second["seed"]
    assert sorted(seeds[:2]) == sorted(seeds[2:]), "equal texts get equal seeds"
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_a_critique_without_a_verdict_is_left_out_and_more_than_half_are_a_failure() -> None:
    async with opened(saying(YES, "Hm.", NO, "")) as judge:
        assert (await judged(judge, *STEPS)).scores == (0.5,)
        assert judge.counts.unparsable == 2
    async with opened(saying("No idea.")) as judge:
        assert (await reason(judge)).startswith("0 of 4 critiques hold a verdict, fewer than half:")
    async with opened(saying("Hm.", "", "Hm.", YES)) as judge:
        assert (await reason(judge)).startswith("1 of 4 critiques hold a verdict")
        assert judge.counts.unparsable == 3


@pytest.mark.parametrize(
    ("style", "cut"),
    [
        ("verdict", "I will end with: Is the solution correct? No. Step 1: the sum is"),
        ("critic", r"Paragraph 0: the sum is \boxed{2}, so it holds. Paragraph 1:"),
    ],
)
async def test_a_critique_that_is_cut_short_gives_no_verdict(style: Any, cut: str) -> None:
    whole = YES if style == "verdict" else r"\boxed{-1}"
    fake = saying(cut, whole)
    fake.ended = lambda text: "length" if text == cut else "stop"
    async with opened(fake, style=style, k=2) as judge:
        answer = await judged(judge, *STEPS)
        assert set(answer.scores) == {1.0}
        assert judge.counts.unparsable == 1


async def test_the_forced_verdict_is_the_mean_probability_of_yes() -> None:
    fake = saying("All is well.\n**Is the solution correct?** No", "Step 1 holds. ")
    async with opened(fake, style="forced", k=2) as judge:
        answer = await judged(judge, *STEPS)
    assert answer.scores == pytest.approx((0.7 / 0.8,))
    assert answer.tokens == (0, 0, 0, 4 * 107)
    forced = [body["messages"][-1]["content"] for body in fake.bodies if "logprobs" in body]
    question = "\nIs the solution correct? "
    assert sorted(forced) == [f"All is well.{question}", f"Step 1 holds.{question}"]


async def test_a_forced_verdict_without_a_label_is_left_out() -> None:
    fake = saying(YES)
    fake.forced = {"Maybe": 0.8, "Perhaps": 0.1}
    async with opened(fake, style="forced") as judge:
        assert "0 of 4" in await reason(judge)
        assert judge.counts.unparsable == 4


async def test_a_sure_forced_verdict_counts_though_its_other_label_is_not_told() -> None:
    fake = saying(YES)
    fake.forced = {"Yes": 0.95, " yes": 0.01, "Maybe": 0.002}
    async with opened(fake, style="forced") as judge:
        answer = await judged(judge, *STEPS)
        assert judge.counts.unparsable == 0
    assert answer.scores == pytest.approx((0.96 / 0.962,))


async def test_the_critic_takes_the_majority_and_scores_steps() -> None:
    fake = saying(r"\boxed{1}", r"\boxed{-1}", r"\boxed{7}", r"So \boxed{0}, no: \boxed{1}")
    async with opened(fake, style="critic") as judge:
        answer = await judged(judge, "One.\n\n", "\n\n", "Two.\n\n", "Three.")
        assert judge.counts.unparsable == 1
    assert answer.scores == (1.0, 1.0, 0.0, 0.0)
    asked = fake.bodies[0]["messages"][-1]["content"]
    assert "<paragraph_1>\nTwo.\n</paragraph_1>" in asked
    assert "paragraph_3" not in asked


async def test_a_critic_that_finds_nothing_wrong() -> None:
    async with opened(saying(r"\boxed{-1}"), style="critic") as judge:
        assert (await judged(judge, *STEPS)).scores == (1.0, 1.0, 1.0)


async def test_a_critic_is_not_asked_about_nothing() -> None:
    fake = saying("?")
    async with opened(fake, style="critic") as judge:
        assert await judged(judge, "\n\n", " ") == StepScores((1.0, 1.0), (0, 0, 0))
    assert not fake.bodies


async def test_a_failed_request_fails_its_prefix_alone() -> None:
    fake = saying(YES)
    fake.status = lambda number: 403 if "bad" in str(fake.bodies[number]) else 200
    async with opened(fake) as judge:
        good, bad = await judge.score(PROBLEM, [grown("good"), grown("bad")])
    assert isinstance(good, StepScores)
    assert isinstance(bad, ScoreFailure)
    assert bad.reason.endswith("status 403: fault 403")


async def test_a_hosted_endpoint_gets_only_what_it_knows() -> None:
    fake = saying(YES)
    fake.hosted = True
    async with opened(fake, k=1) as judge:
        await judged(judge, "One.")
        await judged(judge, "Two.")
    assert ["top_k" in body for body in fake.bodies] == [True, False, False]


async def test_tokens_that_are_not_told_are_none() -> None:
    fake = saying(YES)
    fake.omits_usage = True
    async with opened(fake) as judge:
        assert (await judged(judge, *STEPS)).tokens is None
        assert judge.counts.prompt is judge.counts.generated is judge.counts.cached is None


async def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("### user\n{problem} | {solution}")
    fake = saying(YES)
    async with opened(fake, prompt=str(file)) as judge:
        await judged(judge, "One.")
        assert judge.info.identity != JudgeVerifier(fake.url, "critic", k=4).info.identity
    assert fake.bodies[0]["messages"] == [
        {"role": "user", "content": "What is {solution} + 2? | One."}
    ]


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"style": "loud"}, "`style` must be one of verdict, forced, critic, got 'loud'"),
        ({"k": 0}, "`k` must be at least 1, got 0"),
        ({"max_tokens": 0}, "`max_tokens` must be at least 1, got 0"),
        ({"temperature": -1}, "`temperature` must be at least 0, got -1"),
        ({"concurrency": 0}, "`concurrency` must be at least 1, got 0"),
        ({"prompt": "plain"}, "must hold {solution}"),
        ({"prompt": "no-such-prompt"}, "unknown prompt 'no-such-prompt'"),
    ],
)
def test_bad_knobs_fail_at_once(knobs: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        JudgeVerifier("http://localhost:1", "critic", **knobs)


@pytest.mark.parametrize(
    ("critique", "verdict"),
    [
        (YES, True),
        (NO, False),
        ("**Is the solution correct?** **No**", False),
        ("is the solution correct?: yes.", True),
        (r"Is the solution correct? \boxed{No}", False),
        ("Is the solution correct? Yes. But wait.\nIs the solution correct? No", False),
        ("Is the solution correct? Nothing says so.", None),
        ("The solution is correct: yes", None),
        ("Step 1 holds.\n\n**No.**\n", False),
        ("yes", True),
        ("No mistake here", None),
        ("", None),
    ],
)
def test_verdicts(critique: str, verdict: bool | None) -> None:
    assert verdict_of(critique) is verdict


@pytest.mark.parametrize(
    ("critique", "index"),
    [
        (r"\boxed{2}", 2),
        (r"\boxed{ -1 }", -1),
        (r"\boxed{\text{1}}", 1),
        (r"\boxed{0} or rather \boxed{1}", 1),
        (r"\boxed{3}", None),
        (r"\boxed{-2}", None),
        (r"\boxed{none}", None),
        (" -1\n", -1),
        ("5", None),
        ("Paragraph 2", None),
    ],
)
def test_indices_of_three_paragraphs(critique: str, index: int | None) -> None:
    assert first_wrong_of(critique, 3) == index


@given(st.lists(st.integers(-1, 4), min_size=1))
def test_the_majority_is_most_frequent_and_first_among_equals(indices: Sequence[int]) -> None:
    chosen = majority(indices)
    most = max(map(indices.count, indices))
    assert chosen == next(index for index in indices if indices.count(index) == most)


@given(st.text())
def test_what_is_left_of_a_critique_ends_before_its_last_question(text: str) -> None:
    assert before_verdict(f"{text}\n\n__Is the solution correct?__ No") == before_verdict(
        text + "\nIs the solution correct?"
    )


def test_paragraphs_are_counted_from_zero() -> None:
    assert numbered(["a", "b"]) == (
        "<paragraph_0>\na\n</paragraph_0>\n\n<paragraph_1>\nb\n</paragraph_1>"
    )


def test_yes_and_no_in_any_spelling_are_added_up() -> None:
    told = [TokenProbability(token=token, prob=0.2) for token in ("Yes", " yes", "YES\n", " No")]
    assert share_of_yes(told) == pytest.approx(0.75)
    assert share_of_yes([TokenProbability(token="Maybe", prob=0.2)]) is None
    assert share_of_yes([]) is None


def test_a_label_that_is_not_told_is_as_probable_as_it_can_be() -> None:
    yes, no, other = (
        TokenProbability(token=token, prob=prob)
        for token, prob in (("yes", 0.9), ("no", 0.9), ("so", 0.03))
    )
    assert share_of_yes([yes, other]) == pytest.approx(0.9 / 0.93)
    assert share_of_yes([no, other]) == pytest.approx(0.03 / 0.93)
    assert share_of_yes([yes]) == pytest.approx(0.9), "no more than what is left of 1"


@contextmanager
def served(fake: FakeJudge) -> Iterator[FakeJudge]:
    """The fake, listening in a thread of its own: the command has its own loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        opening = serving(fake)
        yield asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_critiques_without_a_verdict_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, asked = asyncio.run(pool_run(tmp_path, POOL[:1])), Counter[str]()

    def critique(number: int, turn: str) -> str:
        asked[turn] += 1
        return YES if asked[turn] % 2 else "Hm."

    with served(FakeJudge(critique)) as fake:
        knobs = [f"base_url={fake.url}", "model=critic", "k=2"]
        words = ["--verifier", "judge", *(word for k in knobs for word in ("--verifier-knob", k))]
        assert ponder("eval-verifier", folder, *words) == 0
        assert "3 of 6 critiques unparsable" in " ".join(capsys.readouterr().out.split())
        assert ponder("score", folder, *words) == 0
        line = f"{folder}: 4 candidates scored as judge, 3 of 6 critiques unparsable\n"
        assert capsys.readouterr().out == line
        assert ponder("score", folder, *words, "--name", "again", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["critiques"], told["unparsable"]) == (6, 3)
