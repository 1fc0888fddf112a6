"""Extraction, canonical keys, limits, and the workers that compute them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.answers.canonical import canonical_key
from ponder.answers.choice import ChoiceAnswers
from ponder.answers.extraction import boxed, last_number, stated
from ponder.answers.keys import DIGITS, LONGEST, bounded, rational_key, text_key
from ponder.answers.limits import refusal
from ponder.answers.math import REMEMBERED, MathAnswers
from ponder.answers.plain import plain_key, plain_number
from ponder.answers.registry import answer_kind
from ponder.answers.serving import answered, load, serve
from ponder.answers.text import TextAnswers
from ponder.answers.worker import LimitedWorkers, _Process
from ponder.errors import PonderError, UsageError


@pytest.fixture(scope="module")
def answers() -> Iterator[MathAnswers]:
    kind = MathAnswers(workers=1)
    yield kind
    kind.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{1} but then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{x = \boxed{7}}", "7"),
        (r"\fbox{8}", "8"),
        (r"\boxed {9}", "9"),
        (r"\boxed{1} and \boxed{}", "1"),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"f{ \boxed{3}", "3"),
        (r"} } \boxed{4}", "4"),
        (r"\boxed{\begin{matrix}1\\2\end{matrix}}", r"\begin{matrix}1\\2\end{matrix}"),
        (r"\boxed 5", None),
        ("nothing", None),
    ],
)
def test_the_last_closed_box_is_the_answer(text: str, expected: str | None) -> None:
    assert boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The final answer is 5.", "5"),
        ("The answer is 4. The final answer is 5. I hope it is correct.", "5"),
        ("The final answer is 5. No, the answer is 6.", "5"),
        (r"Final answer: \( (3, \frac{\pi}{2}) \).", r"(3, \frac{\pi}{2})"),
        ("**Final Answer:** $x^2$ units", "x^2"),
        ("The answer is:\n\\[ 7 \\]", "7"),
        ("The answer is $$8$$", "8"),
        ("the answer is $5 and he pays $3", "$5 and he pays $3"),
        ("The answer is 3.5 I hope it is correct", "3.5"),
        ("16 - 3 = 13\n#### 1,234", "1,234"),
        ("The answer is", None),
        (r"The final answer is \boxed{12", None),
        ("no anchor, 12", None),
    ],
)
def test_a_stated_answer_ends_with_its_formula_or_sentence(text: str, expected: str | None) -> None:
    assert stated(text) == expected


def test_the_last_number_counts_only_when_asked_for() -> None:
    text = "She pays 3 and then -1,234.50 dollars"
    assert MathAnswers().extract(text) is None
    assert MathAnswers(last_number=True).extract(text) == last_number(text) == "-1234.50"
    assert MathAnswers(last_number=True).extract(r"\boxed{3} or 4") == "3"
    assert last_number("none") is None


@pytest.mark.parametrize(
    "unit", ["{", "}", r"\boxed{", r"\boxed{}", "answer is ", "####", "1,", "$", "\\", "boxed "]
)
def test_extraction_takes_linear_time_on_hostile_text(unit: str) -> None:
    kind = MathAnswers(last_number=True)
    kind.extract("warm up")
    seconds = []
    for size in (200_000, 400_000, 800_000):
        start = time.process_time()
        kind.extract(r"\boxed{" + unit * (size // len(unit)))
        seconds.append(time.process_time() - start)
    assert seconds[2] < 8 * seconds[0] + 0.2
    assert seconds[2] < 2


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("5", 5),
        ("-3.50", Fraction(-7, 2)),
        ("- 2", -2),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1,234", 1234),
        ("1{,}234", 1234),
        (r"1,\!234", 1234),
        (r"12\,345", 12345),
        ("1 000", 1000),
        ("007", 7),
        (r"\frac{1}{2}", Fraction(1, 2)),
        (r"-\dfrac{-1}{4}", Fraction(1, 4)),
        (r"\frac12", Fraction(1, 2)),
        (r"\frac{1}2", Fraction(1, 2)),
        (r"1\frac{1}{2}", Fraction(3, 2)),
        (r"-1\tfrac{1}{2}", Fraction(-3, 2)),
        ("3/4", Fraction(3, 4)),
        ("50%", 50),
        (r"50 \%", 50),
        ("50 percent", 50),
        (r"90^\circ", 90),
        (r"90^{\circ}", 90),
        ("90°", 90),
        (r"\$5.50", Fraction(11, 2)),
        ("7€", 7),
        ("−7", -7),
        ("$7$", 7),
        (r"5\text{ cm}^2", 5),
        (r"5\text{ feet}", 5),
        ("5 dollars", 5),
        ("5 square feet", 5),
        ("12 cm", 12),
        ("x = 5", 5),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"-3.\overline{27}", Fraction(-36, 11)),
        (r"x_{1} = -2", -2),
        ("(5", None),
        ("5 million", 5_000_000),
        (r"\$2.5\text{ million dollars}", 2_500_000),
        ("5 and a half", None),
        ("3 pm", None),
        ("2 pi", None),
        ("1,23", None),
        ("1, 2", None),
        (r"1\ 2", None),
        (r"\frac{1}{0}", None),
        (r"1\frac{-1}{2}", None),
        ("x == 5", None),
        ("2x", None),
        ("", None),
    ],
)
def test_plain_numbers_are_read_exactly(raw: str, value: Fraction | int | None) -> None:
    assert plain_number(raw) == value


SAME = [
    ["1/2", "0.5", r"\frac{1}{2}", r"\frac12", r"\dfrac{2}{4}", r"x = \frac{1}{2}", ".50"],
    [r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", r"\sqrt{\frac{1}{3}}", r"3^{-1/2}"],
    [r"\sqrt{2}-1", r"\sqrt{3-2\sqrt{2}}", r"\frac{1}{1+\sqrt{2}}"],
    [r"11\sqrt2", r"11 \sqrt{2}", r"\sqrt{242}"],
    ["(x+1)^2", "x^2+2x+1", "1 + x(x + 2)", "y = (x+1)^2", "f(x) = x^2 + 2x + 1"],
    [r"\tan^2(y)+1", r"\sec^2(y)"],
    ["6 - 5i", "-5i+6", "6-5 i"],
    ["(1,2)", r"\left( 1, 2 \right)", r"(1, \frac{4}{2})", "x=1, y=2", "1 < x < 2"],
    [r"(3, \frac{\pi}{2})", r"\left(3, \pi/2\right)"],
    ["1,2", "2, 1", r"\{1, 2\}", "1 and 2", r"x = 1 \text{ or } x = 2", r"2, 1, 1"],
    ["[1,2)", r"x \in [1,2)", r"1 \le x < 2", r"\left[1, \frac{6}{3}\right)"],
    ["x > 5", r"(5, \infty)", "5 < x"],
    [r"(-\infty, 5]", r"x \le 5"],
    [r"(-\infty,2) \cup (3,\infty)", r"(3, \infty) \cup (-\infty, 2)"],
    [r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ \frac{4}{2} \end{bmatrix}"],
    [r"\frac12\begin{pmatrix}2\\6\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"],
    ["\\begin{pmatrix}\n5 \\\\\n6\n\\end{pmatrix}", r"\begin{pmatrix}5\\6\end{pmatrix}"],
    [r"√5", r"\sqrt{5}"],
    ["2x - y + 3 = 0", "y - 2x - 3 = 0", "4x - 2y = -6"],
    ["x + y > 1", "1 < x + y", "2x + 2y > 2"],
    [r"x \ne 3", "2x \\ne 6"],
    [r"\text{Evelyn}", "Evelyn", r"\textbf{evelyn}", " evelyn. "],
    ["No", r"\text{no}"],
    ["3 p.m.", r"3\text{ pm}", "3:00 PM"],
    [r"\text{(C)}", "C", r"\text{C}", "(C)"],
    [r"\text{no solution}", "No solution"],
    [r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"],
    [r"0.\overline{3}", r"\frac{1}{3}"],
    [r"\sin^2 x + \cos^2 x", "1"],
    [r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}"],
    [r"\int_0^1 x dx", r"\lim_{x \to 0} \frac{1 - \cos x}{x^2}", "50/100"],
]


OTHERS = [
    "0.333333", "(2,1)", "[1,2]", "(1,2]", "x^2+2x+2", "6+5i", "x < 5", "x + y < 1", "f(x)",
    r"\begin{pmatrix}1&2\end{pmatrix}", "x^2 = y^2 + 1", r"\infty", r"x \ne 4", "1 < x + y < 2",
    r"\sum_{k=1}^{n} k^k", "x = y = 3", "1 < x < y", r"9^{9^9}", "f(x) > g(x)", r"\frac{x}{0}",
]  # fmt: skip


def key_of(raw: str) -> str:
    """As the workers compute it, in this process."""
    return plain_key(raw) or canonical_key(raw)


@pytest.mark.parametrize("group", SAME, ids=lambda group: group[0])
def test_equal_answers_have_equal_keys(group: list[str]) -> None:
    keys = {raw: key_of(raw) for raw in group}
    assert len(set(keys.values())) == 1, keys


def test_different_answers_have_different_keys() -> None:
    keys: dict[str, str] = {}
    for raw in [group[0] for group in SAME if r"\int" not in group[0]] + OTHERS:
        key = key_of(raw)
        assert key not in keys, (raw, keys[key])
        keys[key] = raw


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (r"\sqrt{4}", "number:2"),
        ("10^{-60}", "number:1E-60"),
        (r"\sqrt{2}\sqrt{2}-2", "number:0"),
        (r"(1+\sqrt2)^2-3-2\sqrt{2}", "number:0"),
        (r"\sin(\pi)", "number:0"),
        (r"\infty", "number:oo"),
        ("2+3i", "complex(number:2;number:3)"),
        ("x = y = 3", "number:3"),
        (r"x \in \{3\}", "number:3"),
        (r"\{\}", key_of(r"\emptyset")),
        (r"\frac{1", r"text:\frac1"),
    ],
)
def test_canonical_keys(raw: str, key: str) -> None:
    assert canonical_key(raw) == key


async def test_workers_give_the_same_keys(answers: MathAnswers) -> None:
    for raw in (r"\frac{\sqrt{3}}{3}", "[1,2)", "(x+1)^2", r"\frac12", "x^2 = y^2 + 1"):
        assert (await answers.parse(raw)).key == key_of(raw)


def test_a_percent_sign_does_not_count() -> None:
    assert key_of(r"50\%") == key_of("50") != key_of("0.5")
    assert key_of(r"(50\%, 20\%)") == key_of("(50, 20)")


@given(st.fractions(-(10**20), 10**20, max_denominator=10**6))
def test_number_keys_are_equal_exactly_for_equal_numbers(value: Fraction) -> None:
    written = rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    assert plain_key(written) == rational_key(value)
    assert rational_key(value + Fraction(1, 10**20)) != rational_key(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_decimals_and_fractions_share_keys(value: Decimal) -> None:
    assert plain_key(f"{value:f}") == rational_key(Fraction(value))


@pytest.mark.parametrize(
    "raw",
    [
        "5", "-3.50", "1/2", r"\frac12", "50%", r"90^\circ", r"\$5", "5\\text{ cm}^2", "x=5",
        r"1\frac{1}{2}", "1,234", "1{,}234", r"\text{Evelyn}", "C", r"\text{no solution}", ".5",
    ],
)  # fmt: skip
def test_the_fast_path_gives_the_keys_of_the_parser(raw: str) -> None:
    assert plain_key(raw) == canonical_key(raw)


def test_long_keys_are_cut_to_their_hash() -> None:
    one, other = text_key("a" * 10_000), text_key("a" * 10_001)
    assert one != other
    assert len(one) <= LONGEST
    assert bounded("short") == "short"


def test_numbers_agree_in_fifty_digits() -> None:
    near = Fraction(1, 3) + Fraction(1, 10 ** (DIGITS + 5))
    assert rational_key(near) == rational_key(Fraction(1, 3))
    assert rational_key(Fraction(10**80)) == "number:1E+80"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("x" * 1001, "1001 characters: more than 1000"),
        ("{" * 31, "nesting of more than 30"),
        ("7" * 301, "digits of more than 300"),
        ("2^{99999}", "exponent of more than 10000"),
        ("2^{" + "9" * 200 + "}", "exponent of more than 10000"),
        ("9^{9^{9^{9}}}", "tower of exponents of more than 2"),
        ("9^9^9^9", "tower of exponents of more than 2"),
        ("9**9**9**9", "tower of exponents of more than 2"),
        ("99999!", "factorial of more than 10000"),
    ],
)
async def test_answers_too_large_are_refused_before_they_are_computed(
    raw: str, reason: str
) -> None:
    assert refusal(raw) == reason
    kind = MathAnswers(workers=1)
    assert (await kind.parse(raw)).key == text_key(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "2^{100}", "x^{10}+x^9+x^8+x^7", "e^{-x^2}", "2^{2^n}", r"\frac{1}{2004!}", "(1)(2)(3)",
        r"10^{\frac{-5+\sqrt{13}}{6}}", "a^2b^2c^2", "x^2y^2 + x^{y}z^{w}",
    ],
)  # fmt: skip
def test_ordinary_answers_are_not_refused(raw: str) -> None:
    assert refusal(raw) is None


HOSTILE = [
    "9^{9^9}",
    "9^{9^9}!",
    r"\sum_{k=1}^{9999999} \frac{1}{k!^k}",
    r"\prod_{k=1}^{1000000} k",
    "(" * 30 + "x" + ")" * 30,
    "(a+b+c+d+e+f)^{9999}",
    r"\int_0^\infty \int_0^\infty e^{-x^2 y^2 \sin(xy)} dx dy",
    r"\binom{9999!}{5000!}",
    r"\frac" * 200,
    "\x00" * 100,
    "\ud800",
    "٣",
    "\\",
    "$$$$",
]


async def test_hostile_answers_take_bounded_time() -> None:
    answers = MathAnswers(workers=1, seconds=0.5)
    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        parsed = [group.create_task(answers.parse(raw)) for raw in HOSTILE]
    assert time.monotonic() - start < 60
    assert all(task.result().key for task in parsed)
    answers.close()


def test_requests_are_answered_until_the_input_ends() -> None:
    ours, theirs = socket.socketpair()
    calls: list[tuple[str, dict[str, object]]] = [
        ("1+1", {"value": 2}),
        ("1/0", {"failed": "ZeroDivisionError: division by zero"}),
        ("int('x' * 999)", {"failed": ANY}),
    ]
    lines = [
        json.dumps({"id": number, "arguments": [call], "seconds": 5.0})
        for number, (call, _) in enumerate(calls)
    ]
    ours.sendall("\n".join([*lines, ""]).encode())
    ours.shutdown(socket.SHUT_WR)
    serve(theirs, load("builtins:eval"))
    theirs.close()
    with ours, ours.makefile() as answers:
        received = [json.loads(line) for line in answers]
    assert received == [{"id": at, **answer} for at, (_, answer) in enumerate(calls)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (RecursionError(), "nested too deeply"),
        (UsageError("too large"), "too large"),
        (ValueError("x" * 999), "ValueError: " + "x" * 188),
    ],
)
def test_failures_are_answers(error: Exception, reason: str) -> None:
    def fail() -> None:
        raise error

    assert answered(fail, ()) == {"failed": reason}


async def test_grouping_is_linear_and_quick(answers: MathAnswers) -> None:
    raws = [rf"\sqrt{{{i % 40}}}" if i % 2 else "9" * 900 + str(i) for i in range(256)]
    parsed = [await answers.parse(raw) for raw in raws]

    def grouped() -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for answer in parsed:
            groups.setdefault(answer.key, []).append(answer.raw)
        return groups

    assert min(timeit.repeat(grouped, number=1)) < 0.01
    assert len(grouped()) == 20 + 128


async def test_parsing_again_answers_from_memory(answers: MathAnswers) -> None:
    first = await answers.parse(r"\sqrt{7}")
    start = time.perf_counter()
    for _ in range(1000):
        assert await answers.parse(r"\sqrt{7}") == first
    assert time.perf_counter() - start < 0.1


async def test_what_was_parsed_long_ago_is_forgotten(answers: MathAnswers) -> None:
    for number in range(REMEMBERED + 2):
        await answers.parse(str(number))
    assert len(answers._known) == REMEMBERED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{C}", "C"),
        (r"\boxed{\text{(d)}}", "D"),
        ("The answer is (B).", "B"),
        ("Answer: **E**", "E"),
        ("A) 12", "A"),
        (" c ", "C"),
        ("The answer is Cats", None),
        ("All of them are right, I think", None),
    ],
)
async def test_choices_are_letters(text: str, expected: str | None) -> None:
    kind = ChoiceAnswers()
    assert kind.extract(text) == expected


async def test_choice_keys() -> None:
    kind = ChoiceAnswers("ABCD")
    keys = {(await kind.parse(raw)).key for raw in ("b", "(B)", r"\textbf{B}", "B. 12")}
    assert keys == {"B"}
    assert (await kind.parse("E")).key == "text:e"


async def test_text_keys() -> None:
    kind = TextAnswers()
    assert kind.extract(r"\boxed{New York}") == "New York"
    assert kind.extract("The answer is Paris.") == "Paris"
    assert kind.extract("Paris") is None
    keys = {(await kind.parse(raw)).key for raw in ("New York", "new  york.", r"\text{New York}")}
    assert keys == {"text:newyork"}


def test_answer_kinds_by_name() -> None:
    assert answer_kind("math", last_number=True).extract("so 5") == "5"
    assert answer_kind("choice", letters="AB").name == "choice"
    with pytest.raises(UsageError, match="answer kind 'maths' is unknown: choose one of math"):
        answer_kind("maths")
    with pytest.raises(UsageError, match="'choice' has no knob `last`: letters"):
        answer_kind("choice", last=True)
    with pytest.raises(UsageError, match="'text' has no knob `x`: it has none"):
        answer_kind("text", x=1)
    with pytest.raises(UsageError, match="`letters` must be letters"):
        answer_kind("choice", letters="A1")


@pytest.fixture
def workers() -> Iterator[LimitedWorkers]:
    pool = LimitedWorkers("builtins:eval", workers=2, seconds=0.5, memory_mb=256)
    yield pool
    pool.close()


async def test_workers_answer_fail_and_are_replaced(workers: LimitedWorkers) -> None:
    assert await workers.call("1 + 1") == (2, None)
    assert await workers.call("x") == (None, "NameError: name 'x' is not defined")
    start = time.monotonic()
    assert (await workers.call("9 ** 9 ** 9")).failed == "took longer than 0.5 s"
    assert time.monotonic() - start < 20
    assert (await workers.call("3 - 2")).value == 1


async def test_workers_report_death_and_memory() -> None:
    pool = LimitedWorkers("builtins:eval", workers=1, seconds=5.0, memory_mb=256)
    assert (await pool.call("1 + 1")).value == 2
    assert (await pool.call("bytearray(1 << 30) and 1")).failed == "out of memory"
    assert (await pool.call("(f := lambda: f()) and f()")).failed is not None
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    assert (await pool.call(kill)).failed == "the worker process died (SIGKILL)"
    leave = "__import__('os')._exit(3)"
    assert (await pool.call(leave)).failed == "the worker process died (exit 3)"
    assert (await pool.call("2 + 2")).value == 4
    pool.close()
    pool.close()


async def test_a_worker_process_that_vanishes_is_replaced(workers: LimitedWorkers) -> None:
    system = "__import__('os')"
    leave = f"({system}.kill({system}.getppid(), 9), {system}._exit(1))"
    gone = await workers.call(leave)
    assert gone.failed is not None
    assert "the worker process is gone" in gone.failed
    assert (await workers.call("2 + 3")).value == 5


async def test_a_late_answer_to_an_earlier_call_is_not_taken(workers: LimitedWorkers) -> None:
    late = "(__import__('os').write(0, b'{\"id\": 0, \"value\": 9}\\n'), 8)[1]"
    assert (await workers.call(late)).value == 8


async def test_a_worker_that_cannot_start_is_an_error() -> None:
    pool = LimitedWorkers("no.such.module:f")
    with pytest.raises(PonderError, match=r"cannot start: ModuleNotFoundError"):
        await pool.call()
    pool.close()


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"seconds": 0}, "`seconds` must be over 0, got 0"),
        ({"memory_mb": 1}, "`memory_mb` must be at least 256, got 1"),
    ],
)
def test_limits_of_workers_are_checked(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LimitedWorkers("time:sleep", **knobs)


PARENT = """
import asyncio, os
from ponder.answers.worker import LimitedWorkers, _Process
async def main():
    pool = LimitedWorkers("builtins:eval", workers=2, seconds=2.0, memory_mb=256)
    pid = "__import__('os').getpid()"
    print((await pool.call(pid)).value, flush=True)
    await pool.call("9 ** 9 ** 9")
asyncio.run(main())
"""


def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    return state != "Z"


def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.answers.worker.GRACE_SECONDS", 0.05)
    stubborn = _Process.__new__(_Process)
    stubborn._socket, theirs = socket.socketpair()
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    stubborn._process = subprocess.Popen(sleeping, process_group=0)
    stubborn.end()
    theirs.close()
    assert stubborn._process.returncode == -signal.SIGKILL
