"""The `openai` engine against fakes: what it finds out, and what each failure becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponder.engines.openai import OpenAIEngine
from ponder.errors import EngineError, UsageError
from ponder.recipes.recipe import Host
from ponder.search.steps import split
from ponder.types import Completion, Message, Prefix, Problem, Sampling, Step, Usage
from tests.contracts.engine_contract import CONTRACT, Check
from tests.fake_openai import END, HEADER, TURN, FakeServer, serving, story
from tests.loopback import Connection, Json

STEPS = Sampling(separator="\n\n", max_tokens=50)
WHOLE = Sampling(max_tokens=50)
PROBLEM = Prefix.root(Problem.ask("Is the sea wide?"))
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|user|>{{ message.content }}<|end|>"
    "{% endfor %}<|assistant|>"
)


@asynccontextmanager
async def engine_of(fake: FakeServer, **options: object) -> AsyncGenerator[OpenAIEngine, None]:
    async with serving(fake):
        engine = await OpenAIEngine.open(fake.url, "fake", **options)  # type: ignore[arg-type]
        fake.requests.clear()
        try:
            yield engine
        finally:
            await engine.aclose()


async def drawn(
    engine: OpenAIEngine, prefix: Prefix, sampling: Sampling, *seeds: int
) -> list[Completion]:
    """In the order of the seeds."""
    got = [completion async for completion in engine.generate(prefix, sampling, seeds)]
    return sorted(got, key=lambda completion: completion.index)


def grown(prefix: Prefix, completion: Completion) -> Prefix:
    assert completion.error is None
    ids, tokenizer = completion.token_ids, completion.tokenizer
    return prefix.grow(Step(completion.text, ids, tokenizer, completion.logprobs))


async def searched(engine: OpenAIEngine) -> list[Completion]:
    """A chain of steps to the end of the solution."""
    prefix, chain = PROBLEM, list[Completion]()
    while not chain or chain[-1].ended == "separator":
        [completion] = await drawn(engine, prefix, STEPS, 7)
        chain.append(completion)
        prefix = grown(prefix, completion)
    return chain


MODES: dict[str, tuple[Callable[[], FakeServer], dict[str, object]]] = {
    "ids": (FakeServer, {}),
    "ids by a given template": (FakeServer, {"chat_template": TEMPLATE}),
    "text": (lambda: FakeServer(tokenizes=False), {"chat_template": TEMPLATE}),
    "chat": (lambda: FakeServer(completes=False), {}),
    "chat that does not say what stopped it": (
        lambda: FakeServer(completes=False, tells_stop=False),
        {},
    ),
    "chat without streams": (lambda: FakeServer(completes=False, streams=False), {}),
}


@pytest.mark.parametrize("name", MODES)
async def test_every_mode_finds_the_same_steps(name: str) -> None:
    make, options = MODES[name]
    async with engine_of(make(), **options) as engine:
        assert engine.abilities.mode == name.split()[0]
        assert engine.capabilities.continues
        assert engine.why == ""
        chain = await searched(engine)
    assert "".join(completion.text for completion in chain) == story(7)
    assert [completion.ended for completion in chain] == ["separator", "separator", "eos"]
    assert not any(completion.retokenised for completion in chain)


@pytest.mark.parametrize("name", MODES)
async def test_steps_come_with_the_log_probabilities_that_confidence_reads(name: str) -> None:
    make, options = MODES[name]
    async with engine_of(make(), **options) as engine:
        chain = await searched(engine)
        assert engine.capabilities.logprobs == (name != "chat without streams")
        steps = [step for completion in chain for step in split(completion, "\n\n")]
        assert len(steps) == 3
        assert all(step.logprobs for step in steps) == engine.capabilities.logprobs


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MODES)
async def test_contract(name: str, check: Check) -> None:
    make, options = MODES[name]
    async with engine_of(make(), **options) as engine:
        await check(engine)


async def test_ids_are_handed_back_as_they_were_drawn() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        chain = await searched(engine)
        sent = [body["prompt"] for body in fake.generations]
        opening = sent[0]
    assert isinstance(opening, list)
    assert fake.tokens.text(opening) == TURN + "Is the sea wide?" + END + HEADER
    for at, completion in enumerate(chain):
        ids = [token for done in chain[:at] for token in done.token_ids or ()]
        assert sent[at] == opening + ids
        assert fake.tokens.text(list(completion.token_ids or ())) == completion.text
        assert completion.usage.prompt == len(opening) + len(ids)
        assert completion.tokenizer == engine.capabilities.tokenizer
        assert completion.offsets is not None
        assert completion.offsets[-1] == len(completion.text)
    # The end-of-text token was drawn, but belongs to no text.
    assert chain[-1].usage.generated == len(chain[-1].token_ids or ()) + 1


async def test_ids_of_another_tokenizer_are_handed_over_as_text() -> None:
    fake = FakeServer()
    foreign = PROBLEM.grow(Step("Plan 7 is wide.\n\n", (5, 6), "another"))
    async with engine_of(fake) as engine:
        [completion] = await drawn(engine, foreign, STEPS, 7)
        prompt = fake.generations[0]["prompt"]
    assert isinstance(prompt, list)
    assert fake.tokens.text(prompt).endswith("Plan 7 is wide.\n\n")
    assert completion.text == "It has 3 colours.\n\n"
    assert completion.retokenised


async def test_every_sampling_parameter_is_sent() -> None:
    fake = FakeServer()
    sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=40, max_step_tokens=5)
    async with engine_of(fake) as engine:
        await drawn(engine, PROBLEM, sampling, 123)
    [body] = fake.generations
    sent = {"temperature": 0.3, "top_p": 0.9, "top_k": -1, "max_tokens": 5, "seed": 123, "n": 1}
    off = {"min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    repeated = {"repetition_penalty": 1.0, "repeat_penalty": 1.0}
    assert {**body, **sent, **off, **repeated} == body


async def test_each_seed_is_a_request_and_comes_back_under_its_index() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        assert engine.abilities.several
        completions = await drawn(engine, PROBLEM, WHOLE, 30, 10, 20)
    assert [completion.text for completion in completions] == [story(30), story(10), story(20)]
    assert sorted(str(body["seed"]) for body in fake.generations) == ["10", "20", "30"]


async def test_without_seeds_samples_share_a_request() -> None:
    fake = FakeServer()
    async with engine_of(fake, seeded=False) as engine:
        completions = await drawn(engine, PROBLEM, WHOLE, 10, 20, 30)
        assert engine.capabilities.reproducible == "never"
    assert [body["n"] for body in fake.generations] == [3]
    assert len({completion.text for completion in completions}) == 3


async def test_a_server_that_ignores_n_is_asked_one_by_one() -> None:
    fake = FakeServer(ignores_n=True)
    async with engine_of(fake, seeded=False) as engine:
        assert not engine.abilities.several
        completions = await drawn(engine, PROBLEM, WHOLE, 10, 20)
    assert [completion.text for completion in completions] == [story(10), story(20)]
    assert len(fake.generations) == 2


async def test_choices_that_never_came_are_failures() -> None:
    fake = FakeServer()
    async with engine_of(fake, seeded=False) as engine:
        fake.ignores_n = True
        first, second = await drawn(engine, PROBLEM, WHOLE, 10, 20)
    assert first.text == story(10)
    assert second.error == "the server ended the answer before its end"


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        (FakeServer(completes=False, trims_separator=True), "trims the separator"),
        (FakeServer(completes=False, restarts_turn=True), "begins a new turn"),
        (FakeServer(completes=False, omits_usage=True), "does not tell how many tokens"),
        (
            FakeServer(completes=False, refuses=("continue_final_message",)),
            "continue_final_message",
        ),
    ],
    ids=["trims the separator", "restarts the turn", "omits usage", "refuses to continue"],
)
async def test_a_server_that_cannot_continue_is_named_and_still_samples(
    fake: FakeServer, reason: str
) -> None:
    async with engine_of(fake) as engine:
        assert not engine.capabilities.continues
        assert reason in engine.why
        [whole] = await drawn(engine, PROBLEM, WHOLE, 7)
        [step] = await drawn(engine, PROBLEM.grow(Step("Plan.\n\n")), STEPS, 7)
    assert whole.text == story(7)
    assert step.error is not None
    assert "cannot go on with a partial answer" in step.error


async def test_a_template_around_completions_is_a_new_turn() -> None:
    fake = FakeServer(tokenizes=False, wraps_completions=True)
    with pytest.raises(EngineError, match=r"chat template cannot be used: .*bare word"):
        async with engine_of(fake, chat_template=TEMPLATE):
            pass


async def test_ids_that_are_read_as_something_else_are_not_used() -> None:
    async with engine_of(FakeServer(wraps_completions=True)) as engine:
        assert engine.abilities.mode == "chat"
        assert "token ids were read as" in engine.abilities.why
        assert engine.capabilities.continues


async def test_omitted_usage_is_none_and_never_zero() -> None:
    fake = FakeServer(completes=False, omits_usage=True, tokenizes=False, refuses=("logprobs",))
    async with engine_of(fake) as engine:
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
    assert completion.text == story(7)
    assert completion.usage == Usage(None, None, None)
    assert completion.logprobs is None


async def test_refused_fields_are_left_out() -> None:
    fake = FakeServer(completes=False, refuses=("top_k", "min_p", "repeat_penalty"))
    async with engine_of(fake) as engine:
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
        [limited] = await drawn(engine, PROBLEM, Sampling(top_k=5), 7)
    assert completion.error is None
    assert completion.logprobs is not None, "other fields are still asked for"
    assert limited.error == "the server takes no `top_k`, and 5 was asked for"


async def test_a_stream_that_drops_is_a_failure_with_its_text_and_the_others_go_on() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        fake.drops_after = 3
        [broken] = await drawn(engine, PROBLEM, WHOLE, 7)
        fake.drops_after = None
        [whole] = await drawn(engine, PROBLEM, WHOLE, 7)
        assert engine.http.retried == 0
    assert (broken.ended, broken.text) == ("aborted", "Plan 7 is")
    assert broken.error is not None
    assert "\n" not in broken.error
    assert broken.usage.generated == 3
    assert whole.error is None


async def test_busy_and_broken_servers_are_asked_again() -> None:
    fake, calls = FakeServer(), list[int]()
    async with engine_of(fake, on_busy=lambda: calls.append(1)) as engine:
        fake.faults += [(429, {"retry-after": "0"}), (500, {}), (0, {})]
        completions = await drawn(engine, PROBLEM, WHOLE, 1, 2, 3)
        assert engine.http.retried == 3
    assert [completion.text for completion in completions] == [story(1), story(2), story(3)]
    assert calls == [1]


async def test_a_silent_server_is_one_failed_sample() -> None:
    fake = FakeServer()
    async with engine_of(fake, timeout=0.4) as engine:
        await drawn(engine, PROBLEM, WHOLE, 7)
        fake.faults += [(-1, {})]
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
    assert completion.error is not None
    assert "nothing came for 0.4 s" in completion.error


async def test_a_refused_request_is_one_clear_line() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        fake.error = "maximum context\nlength is 10 tokens"
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
    assert completion.error is not None
    assert completion.error.endswith("status 400: maximum context length is 10 tokens")


async def test_a_filtered_answer_is_a_failure() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        fake.ends_as = "content_filter"
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
    assert completion.error == "the server ended the answer as 'content_filter'"


async def test_a_server_that_ignores_the_limit_is_stopped() -> None:
    fake = FakeServer()
    async with engine_of(fake) as engine:
        fake.ignores_limit, fake.pause = True, 0.001
        [completion] = await drawn(engine, PROBLEM, Sampling(max_tokens=4), 7)
        assert (completion.ended, completion.usage.generated) == ("length", 4)
        await asyncio.wait_for(fake.idle.wait(), 2)


async def test_reasoning_is_kept_apart() -> None:
    async with engine_of(FakeServer(completes=False, reasoning="Hm.")) as engine:
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
    assert (completion.text, completion.reasoning) == (story(7), "Hm.")


@pytest.mark.parametrize("way", ["closed", "cancelled"])
async def test_ending_early_frees_the_server(way: str) -> None:
    fake = FakeServer(story=lambda seed: f"{seed} " + "word " * (20 if seed == 1 else 10_000))
    endless = Sampling(max_tokens=20_000)
    async with engine_of(fake) as engine:
        fake.pause = 0.001
        async with aclosing(engine.generate(PROBLEM, endless, [1, 2, 3])) as stream:
            assert (await anext(stream)).index == 0
            await until_running(fake, 2)
            if way == "cancelled":
                task = asyncio.create_task(drawn(engine, PROBLEM, endless, 4, 5))
                await until_running(fake, 4)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        await asyncio.wait_for(fake.idle.wait(), 10)
        assert fake.abandoned == (2 if way == "closed" else 4)


async def until_running(fake: FakeServer, count: int) -> None:
    async with asyncio.timeout(10):
        while fake.running != count:  # noqa: ASYNC110  there is nothing to be told of
            await asyncio.sleep(0.005)


async def test_no_more_requests_at_once_than_allowed() -> None:
    fake = FakeServer()
    most = 0
    async with engine_of(fake, concurrency=2) as engine:
        assert engine.capabilities.slots == 2
        fake.pause = 0.002
        async for _ in engine.generate(PROBLEM, WHOLE, range(6)):
            most = max(most, fake.running)
    assert most <= 2


@pytest.mark.parametrize("options", [{}, {"chat_template": TEMPLATE}], ids=["served", "given"])
@pytest.mark.parametrize(("share", "renderings"), [(True, 1), (False, 3)])
async def test_a_conversation_is_tokenised_once_unless_that_is_switched_off(
    share: bool, renderings: int, options: dict[str, object]
) -> None:
    """As a recipe says it: `host.share`."""
    fake = FakeServer()
    host = Host(base_url=fake.url, share=share)
    async with engine_of(fake, openings_kept=host.openings_kept, **options) as engine:
        assert engine.capabilities.keeps_openings == share
        for seed in range(3):
            await drawn(engine, PROBLEM, WHOLE, seed)
        tokenised = [body for path, body in fake.requests if path == "/tokenize"]
    assert len(tokenised) == renderings


@pytest.mark.parametrize("name", MODES)
async def test_only_ids_stay_tokenised(name: str) -> None:
    """A server reads text and messages anew each time."""
    make, options = MODES[name]
    async with engine_of(make(), **options) as engine:
        assert engine.capabilities.keeps_openings == name.startswith("ids")


def contents(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.rglob("*") if file.is_file())


def cut_off(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_text("{cut off")


async def test_abilities_are_found_once_and_kept_by_url_model_and_template(tmp_path: Path) -> None:
    fake = FakeServer()
    async with serving(fake):

        async def opened(model: str = "fake", template: str | None = None) -> tuple[str, int]:
            before = len(fake.generations)
            engine = await OpenAIEngine.open(
                fake.url, model, cache_folder=tmp_path, chat_template=template
            )
            await engine.aclose()
            return engine.capabilities.identity, len(fake.generations) - before

        first, again = await opened(), await opened()
        assert first[1] > 0
        assert again == (first[0], 0)
        assert (await opened("other"))[1] > 0
        assert (await opened(template=TEMPLATE))[1] > 0
        cut_off(tmp_path)
        assert (await opened())[1] > 0
        assert (await opened())[1] == 0


async def test_the_key_is_in_no_file_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    fake = FakeServer()
    async with engine_of(fake, api_key_env="MY_KEY", cache_folder=tmp_path) as engine:
        fake.error = "invalid key sk-secret"
        [completion] = await drawn(engine, PROBLEM, WHOLE, 7)
        assert set(fake.keys) == {"Bearer sk-secret"}
        assert "sk-secret" not in f"{engine!r} {engine.capabilities} {completion}"
    assert "tells_separator" in contents(tmp_path)
    assert "sk-secret" not in contents(tmp_path)


@dataclass
class BusyOnce(FakeServer):
    """Refuses one request, and says that it will for an hour."""

    place: int = 0

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: Json, out: Connection
    ) -> None:
        if len(self.requests) == self.place:
            self.faults.append((429, {"retry-after": "3600"}))
        await super().answer(method, path, headers, body, out)


@pytest.mark.parametrize("place", range(0, 12, 3))
async def test_what_a_busy_server_can_do_is_not_kept(tmp_path: Path, place: int) -> None:
    """It is asked again, where it would else be held for less able for ever."""
    async with serving(BusyOnce(place=place)) as fake:
        with pytest.raises(
            EngineError, match=r"status 429.*; what the server can do .* try again$"
        ):
            await OpenAIEngine.open(fake.url, "fake", cache_folder=tmp_path)
        assert contents(tmp_path) == ""
        engine = await OpenAIEngine.open(fake.url, "fake", cache_folder=tmp_path)
        await engine.aclose()
    assert engine.abilities.mode == "ids"
    assert engine.abilities.several


async def test_a_refused_key_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    fake = FakeServer(faults=[(401, {})])
    with pytest.raises(
        EngineError, match=r"/v1/models: status 401: fault 401; set OPENAI_API_KEY to"
    ):
        async with engine_of(fake):
            pass


async def test_a_server_that_answers_nothing_is_one_clear_line() -> None:
    fake = FakeServer(error="model `fake` does not exist")
    with pytest.raises(EngineError, match=r"answers no request.*does not exist") as told:
        async with engine_of(fake):
            pass
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "`concurrency` must be at least 1, got 0"),
        ({"base_url": "http://x:port"}, "not a URL"),
        ({"base_url": "localhost:8000"}, "not an http.s. URL"),
        ({"base_url": "http://127.0.0.1:99999/v1"}, "a port is a number from 1 to 65535"),
        ({"timeout": 0.0}, "`timeout` must be over 0"),
        ({"chat_template": "no/such/file.jinja"}, "chat template 'no/such/file.jinja'"),
        ({"chat_template": "{% for"}, "chat template cannot be read"),
    ],
)
async def test_values_that_cannot_be_used(options: dict[str, object], message: str) -> None:
    async with serving(FakeServer()) as fake:
        with pytest.raises(UsageError, match=message):
            await OpenAIEngine.open(**{"base_url": fake.url, "model": "fake", **options})  # type: ignore[arg-type]


async def test_a_template_that_cannot_be_rendered_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match=r"template cannot be rendered: .*strftime_now"):
        async with engine_of(FakeServer(), chat_template="{{ strftime_now('%d') }}"):
            pass


async def test_a_template_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(TEMPLATE)
    fake = FakeServer(tokenizes=False)
    async with engine_of(fake, chat_template=str(file)) as engine:
        await drawn(engine, PROBLEM, WHOLE, 7)
    assert fake.generations[0]["prompt"] == TURN + "Is the sea wide?" + END + HEADER


async def test_a_template_that_refuses_the_conversation_is_a_failed_sample() -> None:
    refusing = TEMPLATE + "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}"
    two = (Message("system", "Be brief."), Message("user", "Is it?"))
    async with engine_of(FakeServer(), chat_template=refusing) as engine:
        [completion] = await drawn(engine, Prefix.root(Problem(two)), WHOLE, 7)
    assert completion.error == "the chat template refuses the conversation: one turn"
