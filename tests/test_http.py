"""The HTTP client: what is repeated, what is not, and what is never told."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends.backoff import Backoff, retry_after_seconds
from ponder.backends.http import HttpClient, JsonObject
from ponder.backends.http_access import certificates
from ponder.backends.http_errors import PassingError, RequestError
from ponder.errors import UsageError
from tests.loopback import Connection, Json, listening

KEY = "sk-very-secret-1234"
QUICK = Backoff(first=0.001)

Answer = Callable[[Connection], Awaitable[None]]


class Scripted:
    """Answers the n-th request by the n-th of its answers, and all further ones by the last."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.seen: list[dict[str, str]] = []

    async def __call__(
        self, method: str, path: str, headers: dict[str, str], body: Json, out: Connection
    ) -> None:
        self.seen.append({"path": path, **headers})
        await self.answers[min(len(self.seen), len(self.answers)) - 1](out)


def status(code: int, message: str = "wrong", **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda out: out.json({"error": {"message": message}}, code, fields)


async def fine(out: Connection) -> None:
    await out.json({"fine": True})


async def dropped(out: Connection) -> None:
    """The connection closes without an answer."""


async def hanging(out: Connection) -> None:
    await asyncio.sleep(60)


async def two_events_then_drop(out: Connection) -> None:
    await out.start()
    await out.event({"at": 1})
    await out.event({"at": 2})


async def events(out: Connection) -> None:
    await two_events_then_drop(out)
    await out.finish()


async def post(answer: Scripted, **options: object) -> tuple[JsonObject, HttpClient]:
    async with listening(answer) as url:
        http = HttpClient(url, **{"backoff": QUICK, **options})  # type: ignore[arg-type]
        try:
            return await http.post("v1/x", {"a": 1}), http
        finally:
            await http.aclose()


@pytest.mark.parametrize("failure", [status(429), status(500), status(503), dropped])
async def test_repeats_what_may_pass(failure: Answer) -> None:
    server = Scripted(failure, failure, fine)
    answer, http = await post(server)
    assert answer == {"fine": True}
    assert (len(server.seen), http.retried) == (3, 2)


@pytest.mark.parametrize("code", [400, 401, 404, 422])
async def test_refusals_are_final_and_told_in_one_line(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Scripted(status(code, "no model\nof that name"))
    key = r"; set OPENAI_API_KEY to the server's key" if code == 401 else ""
    with pytest.raises(
        RequestError, match=rf"/v1/x: status {code}: no model of that name{key}$"
    ) as told:
        await post(server)
    assert told.value.status == code
    assert len(server.seen) == 1


async def test_gives_up_after_its_attempts() -> None:
    server = Scripted(status(500, "broken"))
    with pytest.raises(RequestError, match="status 500: broken"):
        await post(server, backoff=Backoff(attempts=3, first=0.001))
    assert len(server.seen) == 3


async def test_waits_as_long_as_the_server_asks() -> None:
    begun = time.monotonic()
    await post(Scripted(status(429, retry_after="0.3"), fine))
    assert 0.3 <= time.monotonic() - begun < 2


async def test_does_not_wait_for_an_hour() -> None:
    server = Scripted(status(429, "come back later", retry_after="3600"), fine)
    with pytest.raises(RequestError, match="come back later"):
        await post(server)
    assert len(server.seen) == 1


async def test_busy_servers_are_told_of() -> None:
    calls: list[int] = []
    server = Scripted(status(429), status(500), status(503), fine)
    await post(server, on_busy=lambda: calls.append(len(server.seen)))
    assert calls == [1, 3]


async def test_a_silent_server_times_out_and_is_not_asked_again() -> None:
    server = Scripted(hanging)
    begun = time.monotonic()
    with pytest.raises(RequestError, match=r"nothing came for 0\.2 s"):
        await post(server, timeout=0.2)
    assert time.monotonic() - begun < 2
    assert len(server.seen) == 1


async def test_keep_alive_comments_do_not_count_as_an_answer() -> None:
    async def pinging(out: Connection) -> None:
        await out.start()
        while True:
            await out.text(": ping\n\n")
            await asyncio.sleep(0.02)

    with pytest.raises(RequestError, match=r"nothing came for 0\.2 s"):
        await post(Scripted(pinging), timeout=0.2)


async def collected(stream: AsyncGenerator[JsonObject, None], into: list[object]) -> None:
    async for event in stream:
        into += [event["at"]]


async def test_a_stream_that_breaks_off_is_not_repeated() -> None:
    server, got = Scripted(two_events_then_drop, events), list[object]()
    async with listening(server) as url:
        http = HttpClient(url, backoff=QUICK)
        with pytest.raises(RequestError):
            await collected(http.stream("v1/x", {}), got)
        await http.aclose()
    assert got == [1, 2]
    assert (len(server.seen), http.retried) == (1, 0)


async def test_a_stream_that_never_began_is_repeated() -> None:
    async def nothing(out: Connection) -> None:
        await out.start()

    server, got = Scripted(nothing, events), list[object]()
    async with listening(server) as url:
        http = HttpClient(url, backoff=QUICK)
        await collected(http.stream("v1/x", {}), got)
        await http.aclose()
    assert got == [1, 2]
    assert http.retried == 1


async def test_only_line_breaks_end_the_lines_of_a_stream() -> None:
    """JSON may hold other signs that end lines, as they are; a break may come in two pieces."""

    async def odd(out: Connection) -> None:
        await out.start()
        for part in (
            'data: {"text": "a\u2028b\x85c\u2029"}\r',
            "\n\r\n",
            "data: ",
            '{"text": 2}\r\r',
        ):
            await out.text(part)
            await asyncio.sleep(0.01)
        await out.text('data: {"text": 3}\n')
        await out.finish()

    async with listening(Scripted(odd)) as url:
        http = HttpClient(url)
        texts = [event["text"] async for event in http.stream("v1/x", {})]
        await http.aclose()
    assert texts == ["a\u2028b\x85c\u2029", 2, 3]


async def test_text_that_cannot_be_sent_is_one_clear_line() -> None:
    async with listening(Scripted(fine)) as url:
        http = HttpClient(url)
        with pytest.raises(RequestError, match="/v1/x: the request holds half of a surrogate"):
            await http.post("v1/x", {"prompt": "a \ud83d b"})
        await http.aclose()


@pytest.mark.parametrize(
    ("answer", "passing"),
    [
        (status(429, retry_after="3600"), True),
        (status(504), True),
        (status(500), False),
        (status(400), False),
        (dropped, False),
    ],
)
async def test_what_may_pass_is_told_apart(answer: Answer, passing: bool) -> None:
    with pytest.raises(RequestError) as failure:
        await post(Scripted(answer))
    assert isinstance(failure.value, PassingError) == passing


async def test_an_error_inside_a_stream_is_told() -> None:
    async def failing(out: Connection) -> None:
        await two_events_then_drop(out)
        await out.event({"error": {"message": "out of memory"}})

    got = list[object]()
    async with listening(Scripted(failing)) as url:
        http = HttpClient(url)
        with pytest.raises(RequestError, match="out of memory"):
            await collected(http.stream("v1/x", {}), got)
        await http.aclose()
    assert got == [1, 2]


async def test_closing_a_stream_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def endless(out: Connection) -> None:
        await out.start()
        try:
            while True:
                await out.event({"at": 1})
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    async with listening(Scripted(endless)) as url:
        http = HttpClient(url)
        stream = http.stream("v1/x", {})
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(5):
            await gone.wait()
        await http.aclose()
    assert gone.is_set()


async def test_the_key_is_sent_and_told_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    server = Scripted(status(401, f"bad key {KEY}"))
    async with listening(server) as url:
        http = HttpClient(url, api_key_env="MY_KEY")
        with pytest.raises(RequestError, match=r"bad key \*\*\*") as told:
            await http.get("v1/models")
        await http.aclose()
    assert server.seen[0]["authorization"] == f"Bearer {KEY}"
    error = told.value
    chain = [error, error.__cause__, error.__context__]
    assert KEY not in f"{chain!r} {http!r} {vars(http)!r} {caplog.text}"


async def test_a_refused_key_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "stale")
    with pytest.raises(RequestError, match="refuses the key in OPENAI_API_KEY") as told:
        await post(Scripted(status(401, "no")))
    assert "stale" not in str(told.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}"])
async def test_blanks_around_a_key_do_not_matter(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server = Scripted(fine)
    await post(server)
    assert server.seen[0]["authorization"] == f"Bearer {KEY}"


async def test_a_key_that_cannot_be_sent_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sécret")
    with pytest.raises(UsageError, match="key in OPENAI_API_KEY") as told:
        await post(Scripted(fine))
    assert "cret" not in str(told.value)


async def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Scripted(fine)
    await post(server)
    assert "authorization" not in server.seen[0]


async def test_paths_go_under_the_base_or_beside_it() -> None:
    server = Scripted(fine)
    async with listening(server) as url:
        http = HttpClient(f"{url}/api/v1/")
        await http.get("models")
        await http.get("/props")
        await http.aclose()
    assert [seen["path"] for seen in server.seen] == ["/api/v1/models", "/api/props"]


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"<html>", "not JSON"), (b"[1]", "not a JSON object but a list"), (b"", "not JSON")],
)
async def test_other_answers_are_one_clear_line(body: bytes, message: str) -> None:
    async def page(out: Connection) -> None:
        await out.raw(body, "text/html")

    with pytest.raises(RequestError, match=message):
        await post(Scripted(page))


@pytest.mark.parametrize("layout", [{"detail": "why"}, {"error": "why"}, {"message": "why"}, "why"])
async def test_reasons_are_read_in_every_layout(layout: object) -> None:
    async def refusing(out: Connection) -> None:
        await out.json(layout, 400)

    with pytest.raises(RequestError, match=r"status 400: why$"):
        await post(Scripted(refusing))


async def test_reasons_without_a_layout_are_read_as_text() -> None:
    async def proxy(out: Connection) -> None:
        await out.raw(b"<h1>Bad\n gateway</h1>" + b"x" * 1000, "text/html", 400)

    with pytest.raises(RequestError, match=r"status 400: <h1>Bad gateway</h1>x+$") as told:
        await post(Scripted(proxy))
    assert len(str(told.value)) < 400


async def test_nobody_listening_is_one_clear_line() -> None:
    async with listening(fine) as url:  # type: ignore[arg-type]
        pass
    http = HttpClient(url, backoff=QUICK)
    mend = "start it, or name another with `--base-url`"
    with pytest.raises(RequestError, match=f"{url}/models: no server there .*connect.*: {mend}"):
        await http.get("models")
    assert http.retried == QUICK.attempts - 1
    await http.aclose()


async def test_a_server_that_cannot_speak_tls_is_not_said_to_be_away() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        http = HttpClient(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", backoff=QUICK)
        with pytest.raises(RequestError, match="SSL") as told:
            await http.get("models")
        assert "no server there" not in str(told.value)
        await http.aclose()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "http://me:pw@x/v1"])
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        HttpClient(url)


async def test_https_trusts_the_known_authorities_and_http_nobody() -> None:
    trusted = certificates("https://x").cert_store_stats()["x509_ca"]
    assert (trusted > 50, certificates("http://x").cert_store_stats()["x509_ca"]) == (True, 0)


def test_at_least_one_attempt() -> None:
    with pytest.raises(ValueError, match="`attempts` must be at least 1, got 0"):
        Backoff(attempts=0)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_timeouts_that_cannot_be_used(timeout: float) -> None:
    with pytest.raises(UsageError, match="`timeout` must be over 0"):
        HttpClient("http://x", timeout=timeout)


@given(st.integers(0, 40), st.integers(0, 2**32), st.floats(0.001, 10), st.floats(0.001, 100))
def test_waits_double_within_their_bound(
    attempt: int, seed: int, first: float, most: float
) -> None:
    backoff = Backoff(attempts=100, first=first, longest=most)
    wait = backoff.wait(attempt, None, random.Random(seed))
    bound = min(most, first * 2.0**attempt)
    assert wait is not None
    assert bound / 2 <= wait <= bound


@given(st.floats(0, 60), st.integers(0, 2**32))
def test_never_comes_back_before_it_is_told_to(told: float, seed: int) -> None:
    wait = Backoff().wait(0, str(told), random.Random(seed))
    assert wait is not None
    assert told <= wait <= told + 1


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert retry_after_seconds("7", now) == 7
    assert retry_after_seconds("Sun, 01 Mar 2026 12:00:30 GMT", now) == 30
    assert retry_after_seconds("Sun, 01 Mar 2026 11:00:00 GMT", now) == 0
    assert retry_after_seconds("soon", now) is None
    assert retry_after_seconds(None, now) is None
