"""The built-in problems: answers by a second computation, no instance shared, made again alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from typing import TypedDict

import pytest

import make_problems
from ponder.prompts import load_prompt


class Row(TypedDict):
    id: str
    problem: str
    answer: int
    level: int


def read(name: str) -> list[Row]:
    lines = (files("ponder.data") / f"grade-school-{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


TUNE, REPORT = read("tune"), read("report")

SOLVED: dict[str, Callable[..., float]] = {
    # What the words say, from the numbers in the order of the text: written from the problems,
    # not from the templates.
    r"gives (him|her) \d+ more\. How many": lambda has, gift: has + gift,
    r"bakes .* and eats .* are left\?": lambda baked, eaten: baked - eaten,
    r"fills \d+ bags": lambda bags, each: bags * each,
    r"shares \d+ \w+ equally": lambda things, friends: things / friends,
    r"A pen costs .* buys \d+ pens": lambda price, pens: price * pens,
    r"buys \d+ packs of \d+ \w+ and gives": lambda packs, each, gift: packs * each - gift,
    r"finds \d+ more and then loses": lambda has, found, lost: has + found - lost,
    r"takes out": lambda red, blue, out: red + blue - out,
    r"in the afternoon": lambda early, late, bag: (early + late) / bag,
    r"eats \d+ and shares the rest": lambda has, eaten, friends: (has - eaten) / friends,
    r"brings \d+ more": lambda boxes, each, more: boxes * each + more,
    r"of each\. How many dollars": lambda one, other, times: one * times + other * times,
    r"every week": lambda saved, weeks, game: saved * weeks - game,
    r"A bus has": lambda people, off, on: people + on - off,
    r"pages to read": lambda daily, days, rest: rest + daily * days,
    r"\d+ times as many\. How many .* together": lambda has, times: has * (1 + times),
    r"has \d+ more than": lambda has, more: 2 * has + more,
    r"has \d+ fewer than": lambda has, fewer: 2 * has - fewer,
    r"times as many sheep": lambda cows, times, sold: cows * times - sold,
    r"rows of \d+ chairs": lambda rows, chairs, more: more + rows * chairs,
    r"puts them on \d+ plates": lambda trays, each, plates: trays * each / plates,
    r"tickets": lambda dollars, tickets, price: dollars - tickets * price,
    r"meters long": lambda length, cut, piece: (length - cut) / piece,
    r"kilometers": lambda monday, daily, days: monday + daily * days,
    r"form teams": lambda girls, boys, team: (girls + boys) / team,
    r"do not grow": lambda rows, each, bad: rows * each - bad,
    r"dollars an hour": lambda wage, friday, saturday: wage * friday + wage * saturday,
    r"share them equally": lambda one, other: (one + other) / 2,
    r"A shop has": lambda stock, monday, tuesday: stock - (monday + tuesday),
    r"packs of .* and finds": lambda packs, each, gift, found: packs * each + found - gift,
    r"pens for .* books for": lambda pens, pen, books, book: pens * pen + books * book,
    r"the rest into \d+ bowls": lambda has, more, eaten, bowls: (has + more - eaten) / bowls,
    r"still free": lambda rows, seats, adults, children: rows * seats - (adults + children),
    r"boxes of \d+\. How many boxes": lambda eggs, days, kept, box: (eggs * days - kept) / box,
    r"Together they give": lambda has, times, given: has + has * times - given,
}


def solve(problem: str) -> tuple[str, float]:
    """The kind of the problem and its answer."""
    (kind,) = (kind for kind in SOLVED if re.search(kind, problem))
    return kind, SOLVED[kind](*map(int, re.findall(r"\d+", problem)))


def test_the_sets_have_their_sizes_and_unlike_ids() -> None:
    assert len(TUNE) == 160
    assert len(REPORT) == 200
    assert len({row["id"] for row in TUNE + REPORT}) == 360
    assert len({row["problem"] for row in TUNE + REPORT}) == 360


@pytest.mark.parametrize("rows", [TUNE, REPORT], ids=["tune", "report"])
def test_every_answer_is_what_the_words_say(rows: list[Row]) -> None:
    for row in rows:
        assert set(row) == {"id", "problem", "answer", "level"}
        assert type(row["answer"]) is int
        assert solve(row["problem"])[1] == row["answer"], row


def test_no_kind_with_its_numbers_occurs_twice() -> None:
    rows = TUNE + REPORT
    instances = {(solve(r["problem"])[0], *re.findall(r"\d+", r["problem"])) for r in rows}
    assert len(instances) == len(rows)


@pytest.mark.parametrize("rows", [TUNE, REPORT], ids=["tune", "report"])
def test_each_set_has_all_kinds_and_mostly_two_steps_of_small_numbers(rows: list[Row]) -> None:
    assert {solve(row["problem"])[0] for row in rows} == set(SOLVED)
    levels = Counter(row["level"] for row in rows)
    assert set(levels) == {1, 2, 3}
    assert levels[2] > len(rows) / 2
    numbers = [int(n) for row in rows for n in re.findall(r"\d+", row["problem"])]
    assert max(numbers) <= 20
    assert min(numbers) >= 2
    assert all(1 <= row["answer"] < 100 for row in rows)


def test_the_first_problems_of_a_set_are_a_mixture() -> None:
    for rows in (TUNE, REPORT):
        assert len({solve(row["problem"])[0] for row in rows[:12]}) >= 8
        assert Counter(row["level"] for row in rows[:12]).most_common(1)[0][0] == 2


def test_every_text_reads_as_finished() -> None:
    for row in TUNE + REPORT:
        assert re.fullmatch(r"[A-Z][\w .,]*\?", row["problem"]), row
        assert not re.search(r"\s\s|\b[a-z]_?\}|\bNone\b", row["problem"])


def test_worked_examples_of_the_prompt_are_in_no_set() -> None:
    asked = [m.content for m in load_prompt("grade-school").turns if m.role == "user"][:-1]
    assert asked
    problems = {row["problem"] for row in TUNE + REPORT}
    assert problems.isdisjoint(asked)
    known = {(solve(p)[0], *re.findall(r"\d+", p)) for p in problems}
    for question in asked:
        kinds = [kind for kind in SOLVED if re.search(kind, question)]
        assert all((kind, *re.findall(r"\d+", question)) not in known for kind in kinds)


def test_the_files_are_what_the_tool_makes() -> None:
    assert make_problems.make_sets(make_problems.SEED) == {"tune": TUNE, "report": REPORT}
    other = make_problems.make_sets(1)
    assert all(solve(str(row["problem"]))[1] == row["answer"] for row in other["report"])
