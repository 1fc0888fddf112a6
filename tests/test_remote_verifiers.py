"""Reward models behind a server: exact scores, only new steps, and every failure named."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends.backoff import Backoff
from ponder.backends.http_errors import RequestError
from ponder.backends.prefix_tree import PrefixTree
from ponder.errors import MissingExtraError, UsageError, VerifierError
from ponder.recipes.registry import verifier_of
from ponder.types import Prefix, Problem, ScoreFailure, Step, StepScores, Usage
from ponder.verifiers.remote_connection import RemoteConnection, all_answers
from ponder.verifiers.remote_counts import RemoteCounts
from ponder.verifiers.remote_labels import Label, LabelReader, UnreadableError, share
from ponder.verifiers.remote_memory import ScoreMemory
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.remote_wire import TokenProbability
from tests.byte_checkpoint import BAD, GOOD, MARK, checkpoint, ids_of
from tests.contracts.verifier_contract import CONTRACT, Check
from tests.fake_reward_server import BLOCK, FakeRewardServer, classes, logit, serving

__all__ = ["checkpoint"]

LABELS = (Label(GOOD, "+"), Label(BAD, "-"))
MODES = ("labels", "classify", "pooling")
TEXTS = ("6 * 7 = 42\n\n", "42 - 2 = 40\n\n", "So 40.")
PROBLEM = Problem.ask("How many?")


@asynccontextmanager
async def opened(
    fake: FakeRewardServer, checkpoint: Path, mode: str = "labels", **knobs: Any
) -> AsyncGenerator[RewardServer, None]:
    family = "labels" if mode == "labels" else "classes"
    async with serving(fake):
        verifier = RewardServer(
            fake.url,
            "prm",
            **{"family": str(checkpoint / f"{family}.toml"), "mode": mode, **knobs},
            tokenizer=str(checkpoint),
            block_size=BLOCK,
        )
        try:
            yield verifier
        finally:
            await verifier.aclose()


def grown(*texts: str, problem: Problem = PROBLEM) -> Prefix:
    prefix = Prefix.root(problem)
    for text in texts:
        prefix = prefix.grow(Step(text))
    return prefix


def expected(mode: str, *texts: str) -> list[float]:
    """Each step's score from the fake's formula alone."""
    ends = [ids_of(*texts[:end]) for end in range(1, len(texts) + 1)]
    if mode == "labels":
        pairs = [(logit(ids, BAD), logit(ids, GOOD)) for ids in ends]
    else:
        pairs = [(wrong, right) for wrong, right in (classes(ids, 2) for ids in ends)]
    return [1 / (1 + math.exp(wrong - right)) for wrong, right in pairs]


async def scored(verifier: RewardServer, *prefixes: Prefix) -> list[StepScores]:
    answers = await verifier.score(PROBLEM, prefixes)
    assert all(isinstance(answer, StepScores) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, StepScores)]


async def reason(verifier: RewardServer, *texts: str) -> str:
    [answer] = await verifier.score(PROBLEM, [grown(*(texts or TEXTS))])
    assert isinstance(answer, ScoreFailure), answer
    assert "\n" not in answer.reason
    return answer.reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(checkpoint: Path, mode: str, check: Check) -> None:
    async with opened(FakeRewardServer(), checkpoint, mode) as verifier:
        await check(verifier)


@pytest.mark.parametrize("mode", MODES)
async def test_scores_are_those_of_the_model(checkpoint: Path, mode: str) -> None:
    async with opened(FakeRewardServer(), checkpoint, mode) as verifier:
        [answer] = await scored(verifier, grown(*TEXTS))
    assert answer.scores == pytest.approx(expected(mode, *TEXTS), abs=1e-9)
    assert len(set(answer.scores)) == 3
    sizes = [len(ids_of(*TEXTS[:end])) for end in range(4)]
    assert answer.tokens == (sizes[0], *(sizes[at + 1] - sizes[at] for at in range(3)))


@pytest.mark.parametrize("kind", ["vllm", "llama"])
async def test_labels_are_read_exactly_however_improbable(checkpoint: Path, kind: Any) -> None:
    async with opened(FakeRewardServer(kind), checkpoint) as verifier:
        prefixes = [grown(f"{n} apples") for n in range(30)]
        answers = await scored(verifier, *prefixes)
    for n, answer in enumerate(answers):
        assert answer.scores == pytest.approx(expected("labels", f"{n} apples"), abs=1e-9)


async def test_vllm_is_asked_for_the_two_labels_by_id(checkpoint: Path) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint) as verifier:
        await scored(verifier, grown(TEXTS[0]))
    [(path, body)] = fake.requests
    assert path == "/v1/completions"
    assert body == {
        "model": "prm",
        "prompt": ids_of(TEXTS[0]),
        "max_tokens": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "stream": False,
        "logprobs": 2,
        "logprob_token_ids": [GOOD, BAD],
        "return_tokens_as_token_ids": True,
        "allowed_token_ids": [GOOD, BAD],
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }


async def test_classify_is_asked_for_raw_logits(checkpoint: Path) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint, "classify") as verifier:
        await scored(verifier, grown(TEXTS[0]))
    assert fake.requests == [
        (
            "/classify",
            {
                "model": "prm",
                "input": ids_of(TEXTS[0]),
                "add_special_tokens": False,
                "use_activation": False,
            },
        )
    ]


async def test_labels_that_were_the_two_most_probable_by_chance_are_not_a_way(
    checkpoint: Path,
) -> None:
    fake = FakeRewardServer("llama", first_way_hit=True)
    async with opened(fake, checkpoint) as verifier:
        first = await scored(verifier, grown("one"))
        later = await scored(verifier, *(grown(f"{n} pears") for n in range(8)))
    assert not fake.first_way_hit
    assert first[0].scores == pytest.approx(expected("labels", "one"), abs=1e-9)
    for n, answer in enumerate(later):
        assert answer.scores == pytest.approx(expected("labels", f"{n} pears"), abs=1e-9)


async def test_a_bare_endpoint_reads_labels_among_the_five_and_fails_by_name_else(
    checkpoint: Path,
) -> None:
    names = {GOOD: "+", BAD: "-"}
    fake = FakeRewardServer("bare", text_of=lambda token: names.get(token, f"<{token}>"))
    async with opened(fake, checkpoint) as verifier:
        fake.likely = (GOOD, BAD)
        [answer] = await scored(verifier, grown("one plum"))
        fake.likely = (GOOD,)
        outside = await reason(verifier, "two plums")
    assert answer.scores == pytest.approx(expected("labels", "one plum"), abs=1e-9)
    assert outside == (
        f"the label '-' (token {BAD}) cannot be read: not among the 5 tokens whose probabilities "
        "the server tells"
    )


@pytest.mark.parametrize("kind", ["vllm", "llama"])
async def test_a_label_that_is_not_told_is_a_failure_with_its_name(
    checkpoint: Path, kind: Any
) -> None:
    async with opened(FakeRewardServer(kind, leaves_out=BAD), checkpoint) as verifier:
        assert f"'-' (token {BAD})" in await reason(verifier)


@pytest.mark.parametrize("mode", MODES)
async def test_only_new_steps_are_asked(checkpoint: Path, mode: str) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint, mode) as verifier:
        await scored(verifier, grown(TEXTS[0]))
        await scored(verifier, grown(*TEXTS[:2]))
        assert fake.prompts == [ids_of(TEXTS[0]), ids_of(*TEXTS[:2])]
        again = await scored(verifier, grown(*TEXTS[:2]), grown(TEXTS[0]))
    assert len(fake.prompts) == 2
    assert again[0].scores == pytest.approx(expected(mode, *TEXTS[:2]), abs=1e-9)


async def test_the_longest_prefix_goes_first_and_fills_the_cache(checkpoint: Path) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint) as verifier:
        await scored(verifier, grown(*TEXTS))
        counts = verifier.counts
    assert max(fake.prompts, key=len) == fake.prompts[0]
    assert counts.distinct == len(fake.prompts[0])
    assert counts.computed is not None
    assert counts.computed <= counts.distinct + 2 * BLOCK


async def test_pooled_steps_and_pooled_tokens_are_one(checkpoint: Path) -> None:
    fake = FakeRewardServer(pools_steps_by=MARK)
    async with opened(fake, checkpoint, "pooling") as verifier:
        [answer] = await scored(verifier, grown(*TEXTS))
        assert answer.scores == pytest.approx(expected("pooling", *TEXTS), abs=1e-9)
        fake.pools_steps_by = MARK - 1
        assert "pooled 0 tokens of a prompt of" in await reason(verifier, "other", "steps")


async def test_an_outcome_model_is_read_before_what_its_config_calls_padding(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "outcome"
    shutil.copytree(checkpoint, folder)
    [padding] = ids_of("!", question="")[1:-1]
    (folder / "config.json").write_text(
        json.dumps({"model_type": "llama", "pad_token_id": padding})
    )
    (folder / "whole.toml").write_text(
        'scores = "solution"\nestimates = "value"\n[input]\nopening = "{question}\\n"\n'
        '[read]\nhead = "value"\n'
    )
    fake = FakeRewardServer(heads=1)
    family = str(folder / "whole.toml")
    async with opened(fake, folder, "classify", family=family) as verifier:
        await scored(verifier, grown("It is 40!!"))
    assert fake.prompts == [ids_of("It is 40")[:-1]]


async def test_scores_go_with_their_problem(checkpoint: Path) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint) as verifier:
        for _ in range(2):
            problem = Problem.ask("Once?")
            await verifier.score(problem, [grown("yes", problem=problem)])
            del problem
            gc.collect()
    assert len(fake.prompts) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_failure_leaves_the_others_and_is_asked_again(checkpoint: Path, mode: str) -> None:
    fake = FakeRewardServer(statuses=[200, 403])
    async with opened(fake, checkpoint, mode) as verifier:
        await scored(verifier, grown("zero"))
        first, second = await verifier.score(PROBLEM, [grown("one"), grown("two")])
        assert [type(first), type(second)].count(ScoreFailure) == 1
        assert "status 403: fault 403" in str(first) + str(second)
        await scored(verifier, grown("one"), grown("two"))


async def test_a_bug_goes_before_a_failed_request() -> None:
    async def refused() -> int:
        raise RequestError("refused")

    async def wrong() -> int:
        raise ZeroDivisionError

    async def endless() -> int:
        await asyncio.Event().wait()
        return 1

    with pytest.raises(ZeroDivisionError):
        await all_answers([refused(), wrong(), endless()])
    with pytest.raises(RequestError, match="refused"):
        await all_answers([endless(), refused()])


async def test_a_500_is_repeated_by_the_client_and_told_when_it_stays() -> None:
    fake = FakeRewardServer(statuses=[500, 200, 500, 500])
    async with serving(fake):
        connection = RemoteConnection(fake.url, backoff=Backoff(attempts=2, first=0.001))
        reader = LabelReader(connection, "prm", LABELS)
        bills: list[Usage] = []
        await reader.read([1, 2, 3], bills.append)
        with pytest.raises(RequestError, match="status 500"):
            await reader.read([1, 2, 4], bills.append)
        await connection.aclose()
    assert bills == [Usage(3, 0, None)]
    assert len(fake.requests) == 4


@pytest.mark.parametrize("mode", MODES)
async def test_a_short_answer_is_a_failure(checkpoint: Path, mode: str) -> None:
    async with opened(FakeRewardServer(short=True), checkpoint, mode) as verifier:
        told = await reason(verifier)
    assert {
        "labels": "cannot be read: not among the 0 tokens",
        "classify": "data.0.probs",
        "pooling": "pooled",
    }[mode] in told


async def test_a_value_is_squashed(checkpoint: Path) -> None:
    family = str(checkpoint / "value.toml")
    async with opened(FakeRewardServer(heads=1), checkpoint, "classify", family=family) as verifier:
        [answer] = await scored(verifier, grown(TEXTS[0]))
    [value] = classes(ids_of(TEXTS[0]), 1)
    assert answer.scores == pytest.approx((1 / (1 + math.exp(-value)),))


async def test_too_few_classes_are_a_failure(checkpoint: Path) -> None:
    async with opened(FakeRewardServer(heads=1), checkpoint, "classify") as verifier:
        assert "the family reads the classes [1], and the model has 1" in await reason(verifier)


async def test_a_server_without_classify_is_told_of_pooling(checkpoint: Path) -> None:
    async with opened(FakeRewardServer(statuses=[404]), checkpoint, "classify") as verifier:
        assert "`mode` = pooling" in await reason(verifier, "one")


@pytest.mark.parametrize("silent", [{"omits_usage": True}, {"tells_cached": False}])
async def test_what_is_not_told_is_none(checkpoint: Path, silent: Any) -> None:
    async with opened(FakeRewardServer(**silent), checkpoint) as verifier:
        [answer] = await scored(verifier, grown(*TEXTS))
        counts = verifier.counts
    assert counts.cached is counts.computed is counts.ratio is None
    assert counts.distinct == len(ids_of(*TEXTS)) == sum(answer.tokens or ())
    assert counts.least_ratio is not None


async def test_computed_is_the_floor_when_requests_come_one_by_one(checkpoint: Path) -> None:
    async with opened(FakeRewardServer(), checkpoint, concurrency=1) as verifier:
        for end in range(1, 4):
            await scored(verifier, grown(*TEXTS[:end]), grown(*TEXTS[: end - 1], "Or else."))
        counts = verifier.counts
    assert counts.computed == counts.floor > counts.distinct
    assert counts.ratio == counts.least_ratio


async def test_requests_that_fail_are_in_no_count(checkpoint: Path) -> None:
    fake = FakeRewardServer(statuses=[200, 403])
    async with opened(fake, checkpoint) as verifier:
        await scored(verifier, grown("one"))
        assert "status 403" in await reason(verifier, "two, which is longer")
        counts = verifier.counts
    assert counts.requests == 1
    assert counts.prompt == counts.distinct == counts.floor == len(ids_of("one"))
    assert counts.ratio == counts.least_ratio == 1


async def test_answers_that_did_not_tell_the_labels_are_counted(checkpoint: Path) -> None:
    fake = FakeRewardServer("llama")
    async with opened(fake, checkpoint) as verifier:
        await scored(verifier, grown("one"))
        counts = verifier.counts
        assert counts.requests == len(fake.requests) == 2
        assert counts.prompt == 2 * counts.distinct == 2 * len(ids_of("one"))
        assert counts.computed == counts.floor
        fake.leaves_out = BAD
        await reason(verifier, "two")
        assert counts.requests == len(fake.requests)
        assert counts.prompt == sum(map(len, fake.prompts))


@pytest.mark.parametrize("short", [False, True])
async def test_pooled_answers_are_counted_where_they_cannot_be_read(
    checkpoint: Path, short: bool
) -> None:
    async with opened(FakeRewardServer(short=short), checkpoint, "pooling") as verifier:
        await verifier.score(PROBLEM, [grown("one")])
        counts = verifier.counts
    assert (counts.requests, counts.prompt) == (1, len(ids_of("one")))


async def test_concurrency_is_bounded(checkpoint: Path) -> None:
    fake = FakeRewardServer(pause=0.005)
    async with opened(fake, checkpoint, concurrency=3) as verifier:
        await scored(verifier, grown("first"))
        await scored(verifier, *(grown(f"{n} figs") for n in range(20)))
    assert fake.most_running == 3


async def test_it_can_be_used_again_after_it_was_closed(checkpoint: Path) -> None:
    fake = FakeRewardServer()
    async with opened(fake, checkpoint) as verifier:
        before = await scored(verifier, grown("one"))
        await verifier.aclose()
        assert await scored(verifier, grown("one")) == before


def test_a_verifier_works_in_one_event_loop_after_the_other(checkpoint: Path) -> None:
    async def score_alone(texts: Sequence[str]) -> list[StepScores]:
        async with opened(FakeRewardServer(), checkpoint) as verifier:
            return await scored(verifier, grown(*texts))

    assert asyncio.run(score_alone(TEXTS)) == asyncio.run(score_alone(TEXTS))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"mode": "classify"}, "is read by `mode` = labels, got 'classify'"),
        ({"concurrency": 0}, "`concurrency` must be at least 1, got 0"),
        ({"timeout": 0}, "`timeout` must be over 0 seconds, got 0"),
        ({"block_size": 0}, "`block_size` must be at least 1, got 0"),
        ({"base_url": "localhost:8000"}, "not an http"),
        (
            {"base_url": "http://h:65536/v1"},
            "a port is a number from 1 to 65535, got .http://h:65536",
        ),
        ({"base_url": "http://h:0"}, "a port is a number from 1 to 65535, got .http://h:0"),
        ({"family": None}, "no family of reward models fits 'prm'"),
    ],
)
def test_bad_knobs_fail_at_once(checkpoint: Path, knobs: Any, words: str) -> None:
    good = {"base_url": "http://localhost:1", "family": str(checkpoint / "labels.toml")}
    with pytest.raises(UsageError, match=words):
        RewardServer(**{**good, **knobs}, model="prm")


@pytest.mark.parametrize("name", ["reward-server", "judge"])
def test_the_registry_names_a_knob_that_is_missing_or_unknown(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} needs the knob 'model'"):
        verifier_of(name, {"base_url": "http://localhost:1"})
    with pytest.raises(UsageError, match=f"{name} has no knob 'counts': it has api_key_env, "):
        verifier_of(name, {"counts": 1})


def test_a_missing_extra_is_named_at_once(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.verifiers.remote_reward.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"ponder\[verifiers\]"):
        RewardServer("http://localhost:1", "prm", str(checkpoint / "labels.toml"))


async def test_a_missing_tokenizer_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    family = str(checkpoint / "labels.toml")
    verifier = RewardServer("http://localhost:1", "prm", family, tokenizer=str(tmp_path))
    with pytest.raises(VerifierError, match="cannot open the tokenizer") as failure:
        await verifier.score(PROBLEM, [grown("one")])
    assert "\n" not in str(failure.value)


def test_the_identity_changes_with_the_family_and_the_mode(checkpoint: Path) -> None:
    family = str(checkpoint / "classes.toml")
    one, other = (
        RewardServer("http://localhost:1", "prm", family, mode) for mode in ("classify", "pooling")
    )
    assert one.info.identity != other.info.identity
    assert one.info.estimates == "value"


logprobs = st.floats(-300, 0)


@given(logprobs, logprobs)
def test_the_shares_of_two_labels_add_up_to_one(good: float, bad: float) -> None:
    told = [TokenProbability(id=BAD, logprob=bad), TokenProbability(id=GOOD, logprob=good)]
    one, other = share(told, LABELS), share(told, (LABELS[1], LABELS[0]))
    assert one + other == pytest.approx(1)
    assert 0 <= one <= 1
    assert (one >= other) == (good >= bad) or math.isclose(one, other)


def test_a_label_of_probability_zero_is_read_but_not_two() -> None:
    never, certain = TokenProbability(id=BAD, prob=0.0), TokenProbability(id=GOOD, prob=1.0)
    assert share([never, certain], LABELS) == 1.0
    with pytest.raises(UnreadableError, match="have probability 0"):
        share([never, TokenProbability(id=GOOD, prob=0.0)], LABELS)


def test_text_is_matched_exactly_and_a_barred_label_is_not_read() -> None:
    told = [TokenProbability(token=" +", logprob=-1.0), TokenProbability(token="-", logprob=-2.0)]
    with pytest.raises(UnreadableError, match=r"'\+'"):
        share(told, LABELS)
    untold = [TokenProbability(id=GOOD, logprob=-1.0), TokenProbability(id=BAD)]
    with pytest.raises(UnreadableError, match="'-'"):
        share(untold, LABELS)
    barred = [TokenProbability(id=GOOD, logprob=-1.0), TokenProbability(id=BAD, logprob=-9999.0)]
    with pytest.raises(UnreadableError, match="'-'"):
        share(barred, LABELS)


sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), max_size=12)


@given(sequences)
def test_distinct_tokens_are_the_nodes_of_the_prefix_tree(sent: list[list[int]]) -> None:
    tree, counts = PrefixTree(), RemoteCounts(block_size=1)
    floor = 0
    for token_ids in sent:
        floor += max(tree.new(token_ids), 1)
        tree.add(token_ids)
        counts.answered(PROBLEM, token_ids, Usage())
    assert counts.distinct == len(tree)
    assert counts.floor == floor


async def test_whoever_waits_for_a_cancelled_request_asks_anew() -> None:
    memory, asked = ScoreMemory(limit=2), 0

    async def ask() -> tuple[float, ...]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return (0.5,)

    first = asyncio.create_task(memory.once(PROBLEM, [1], ask))
    second = asyncio.create_task(memory.once(PROBLEM, [1], ask))
    third = asyncio.create_task(memory.once(PROBLEM, [1], ask))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == await third == (0.5,)
    assert asked == 2
    for number in (2, 3, 1):
        await memory.once(PROBLEM, [number], ask)
    assert asked == 5, "the oldest of three is forgotten at a limit of two"
