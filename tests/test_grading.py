"""Grading: math-verify's own cases, our cases, hostile input, the file contract, real pools."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.answers.math import MathAnswers
from ponder.errors import UsageError
from ponder.evals.graded_rows import grade_rows, read_rows
from ponder.evals.grading import LONGEST_TEXT, Comparison, Grader, shortened
from ponder.evals.verdict import as_latex, is_bare, verdict

CASES = Path(__file__).parent / "grading_cases.jsonl"
MATH_VERIFY = "equivalence/math_verify_cases.jsonl"
POOL = "completions/math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
GSM8K = "completions/gsm8k_openai_solutions.jsonl"

POOL_DIFFERENCES = {
    ("math500-0", 3): True,
    ("math500-3", 5): False,
    ("math500-3", 7): False,
    ("math500-27", 1): True,
    ("math500-27", 2): True,
}
"""Our grade, where it differs from the pool's; docs/grading.md says who is right."""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    shared = Grader(workers=2)
    yield shared
    asyncio.run(shared.aclose())


@pytest.fixture(scope="module")
def impatient() -> Iterator[Grader]:
    shared = Grader(workers=1, seconds=0.3)
    yield shared
    asyncio.run(shared.aclose())


@pytest.fixture(scope="module")
def answers() -> Iterator[MathAnswers]:
    shared = MathAnswers(workers=1)
    yield shared
    shared.close()


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("gold", "pred", "equal"),
    [
        ("5", "-5", False),
        ("007", "7", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", "So the answer is $0.5$.", True),
        ("$x^2-1$", "(x-1)(x+1)", True),
        ("42", "First 7, then \\boxed{42}.", True),
        ("18", "the total is 18 dollars", True),
        ("odd", "The answer is odd.", True),
        (r"0.\overline{3}", r"0.\overline{6}", False),
        ("1 million", "1,000,000", True),
        ("3 p.m.", "3 am", False),
        ("6+9i", "Hence we get\n\\boxed{9i+6}", True),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "\\begin{pmatrix}\n1 \\\\\n2\n\\end{pmatrix}", True),
        ("5", "", False),
    ],
)
async def test_each_side_is_latex_a_bare_answer_or_text(
    grader: Grader, gold: str, pred: str, equal: bool
) -> None:
    assert await grader.grade(gold, pred) == (equal, None)


async def test_params_are_math_verifys_own(grader: Grader) -> None:
    third, rounded = r"$\frac{1}{3}$", "$0.33$"
    assert not (await grader.grade(third, rounded)).equal
    assert (await grader.grade(third, rounded, {"precision": 2})).equal
    assert not (await grader.grade("$f(x)$", "$f(y)$")).equal
    assert (await grader.grade("$f(x)$", "$f(y)$", {"strict": False})).equal
    interval, relation = r"$x \in [-2,7]$", r"$-2 \le x \le 7$"
    assert not (await grader.grade(interval, relation)).equal
    assert (await grader.grade(interval, relation, {"allow_set_relation_comp": True})).equal
    strings = {"match_types": ["string"]}
    assert (await grader.grade("B", "The answer is B.", strings)).equal
    assert not (await grader.grade("12", "12", strings)).equal


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tolerance": 1}, "`params` has 'tolerance': choose of match_types, precision"),
        ({"precision": -1}, "`precision` must be a number of decimal places, at least 0, got -1"),
        ({"precision": True}, "`precision` must be a number"),
        ({"strict": "no"}, "`strict` must be true or false, got 'no'"),
        ({"match_types": ["tex"]}, "`match_types` must be a list of latex, expr, string"),
        ({"match_types": []}, "`match_types` must be a list"),
        ({"match_types": "latex"}, "`match_types` must be a list"),
    ],
)
async def test_params_are_checked(grader: Grader, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        await grader.grade("1", "1", params)


async def test_many_comparisons_keep_their_order(grader: Grader) -> None:
    golds = [str(number % 7) for number in range(100)]
    verdicts = await grader.grade_many([Comparison(gold, "3") for gold in golds])
    assert [verdict.equal for verdict in verdicts] == [gold == "3" for gold in golds]


async def test_the_same_comparison_is_made_once(impatient: Grader) -> None:
    slow = Comparison("7", "$9^{9^9}$")
    assert (await impatient.grade(*slow)).failed == "took longer than 0.3 s"
    start = time.monotonic()
    verdicts = await impatient.grade_many([slow] * 50)
    assert time.monotonic() - start < 0.3
    assert not any(verdict.equal for verdict in verdicts)


HOSTILE = [
    "9^{9^{9^{9^9}}}",
    "$9^{9^{9^{9^9}}}$",
    "{" * 3_000_000,
    r"\boxed{" * 400_000,
    r"\boxed{" + "{" * 1_000_000,
    "(" * 900 + "x" + ")" * 900,
    r"\frac{1}{" * 500 + "1" + "}" * 500,
    "$" * 40_000,
    "$" + "x" * 40_000,
    r"\(" * 20_000,
    "a" * 40_000,
    "1 " * 20_000,
    "answer " * 6_000,
    "-" * 5_000 + "1",
    "9" * 40_000,
    "10000000!",
    r"$\sum_{k=1}^{10^{10}} k!$",
    "(x+y+z+w)^{9999}",
    "\x00",
    "\\",
    "",
]


async def test_hostile_input_costs_bounded_time_and_is_not_equal(impatient: Grader) -> None:
    await impatient.grade(r"\sqrt{2}", "1")
    start = time.monotonic()
    verdicts = await impatient.grade_many([Comparison("7", text) for text in HOSTILE])
    verdicts += await impatient.grade_many([Comparison(text, "7") for text in HOSTILE[::5]])
    assert time.monotonic() - start < 60
    assert not any(verdict.equal for verdict in verdicts)
    reasons = [verdict.failed for verdict in verdicts[: len(HOSTILE)]]
    assert reasons[0] == "tower of exponents of more than 2"
    assert reasons[2] == f"no answer found in a text of over {LONGEST_TEXT} characters"
    assert (await impatient.grade(r"\sqrt{4}", "2")).equal


async def test_a_long_text_is_read_by_our_own_extraction(grader: Grader) -> None:
    solution = "We think. " * 20_000 + r"So \boxed{\frac{1}{2}}."
    assert shortened(solution) == r"$\frac{1}{2}$"
    assert (await grader.grade("0.5", solution)).equal


async def test_cancelling_a_grade_leaves_the_grader_usable(impatient: Grader) -> None:
    await impatient.grade(r"\sqrt{2}", "1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await impatient.grade("8", "$9^{9^9}$")
    assert (await impatient.grade(r"\sqrt{9}", "3")).equal


async def test_a_grader_closes_with_its_block() -> None:
    async with Grader() as grader:
        assert (await grader.grade("3", "3")).equal
    await grader.aclose()


@pytest.mark.parametrize(
    ("side", "bare"),
    [
        (r"1.2 \cdot 10^3", True),
        ("x = 5 or x = 3", True),
        (r"\text{no real solution}", True),
        ("no solution", True),
        ("5 dollars", True),
        (r"\$5", True),
        ("28 percent", False),
        ("The answer is odd.", False),
        ("the total is 5", False),
        ("It is 5. So 6", False),
        ("$5$", False),
        (r"\boxed{5}", False),
        ("1\n2", False),
    ],
)
def test_a_bare_answer_has_no_delimiter_and_no_prose(side: str, bare: bool) -> None:
    assert is_bare(side) == bare


@pytest.mark.parametrize(
    ("bare", "latex"),
    [
        ("no solution", r"\text{no solution}"),
        (r"3\text{ pm}", r"\text{3:00pm}"),
        ("1 200", r"\frac{1200}{1}"),
        ("2.5 dollars", "2.5"),
        (r"0.\overline{3}", r"\frac{1}{3}"),
        ("50%", "50%"),
        ("x = 5", "x = 5"),
        (r"\frac\pi2", r"\frac{\pi}{2}"),
    ],
)
def test_bare_answers_are_handed_over_as_latex(bare: str, latex: str) -> None:
    assert as_latex(bare) == latex


def test_a_comparison_within_this_process() -> None:
    assert verdict("$3+4i$", "4i+3", {})
    assert verdict("odd", "The answer is odd.", {})
    assert verdict(
        r"$\begin{pmatrix}i\\1\end{pmatrix}$", r"\begin{bmatrix} i \\ 1\end{bmatrix}", {}
    )
    assert not verdict("12", "twelve of them are red, the others are not", {})
    with pytest.raises(UsageError, match="nesting of more than"):
        verdict("1", "(" * 99, {})


async def test_our_cases(grader: Grader, answers: MathAnswers) -> None:
    """Equal and unequal pairs of every kind; the file says where grade or vote differ, and why."""
    rows = load(CASES)
    await _check_cases(grader, answers, [row for row in rows if "why" in row] + rows[::20])


@pytest.mark.long
async def test_all_our_cases(grader: Grader, answers: MathAnswers) -> None:
    await _check_cases(grader, answers, load(CASES))


async def _check_cases(grader: Grader, answers: MathAnswers, rows: list[dict[str, Any]]) -> None:
    verdicts = await grader.grade_many([Comparison(row["gold"], row["pred"]) for row in rows])
    wrong = []
    for row, graded in zip(rows, verdicts, strict=True):
        keys = [await _key(answers, row[side]) for side in ("gold", "pred")]
        found = (graded.equal, keys[0] == keys[1])
        if found != (row.get("graded", row["equal"]), row.get("voted", row["equal"])):
            wrong.append((row, found))
    assert not wrong


async def _key(answers: MathAnswers, side: str) -> str:
    return (await answers.parse(answers.extract(side) or side)).key


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl:2: not JSON"),
        ("[1]", "rows.jsonl:2: a row must be an object"),
        ("9" * 5000, "rows.jsonl:2: not JSON: Exceeds the limit"),
        ("[" * 100_000, "rows.jsonl:2: not JSON: maximum recursion depth exceeded"),
        ('{"gold": "1"}', "rows.jsonl:2: `pred` must be a string or a number, got None"),
        ('{"gold": true, "pred": "1"}', "rows.jsonl:2: `gold` must be a string"),
        ('{"gold": "1", "pred": "1", "params": 3}', "rows.jsonl:2: `params` must be an object"),
        ('{"gold": "1", "pred": "1", "params": {"x": 3}}', "rows.jsonl:2: `params` has 'x'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"gold": "1", "pred": "1"}\n' + line + "\n")
    with pytest.raises(UsageError, match=message):
        read_rows(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.jsonl cannot be read"):
        read_rows(tmp_path / "missing.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="binary cannot be read"):
        read_rows(tmp_path / "binary")
    (tmp_path / "blank").write_text("\n\n")
    with pytest.raises(UsageError, match="blank is empty: it needs at least one row"):
        read_rows(tmp_path / "blank")


async def test_graded_rows_are_the_same_rows_with_their_grades(
    tmp_path: Path, grader: Grader
) -> None:
    rows: list[dict[str, Any]] = [
        {"gold": "1/2", "pred": "0.5", "id": "a"},
        {"gold": 27.0, "pred": "27", "params": None},
        {"gold": "1", "pred": "2", "note": "größer"},
        {"gold": "1", "pred": "9^{9^{9^{9}}}", "params": {"match_types": ["latex"]}},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    graded = await grade_rows(path, grader)
    assert [row["equal"] for row in graded.rows] == [True, True, False, False]
    assert [row.items() >= given.items() for row, given in zip(graded.rows, rows, strict=True)]
    assert graded.rows[3]["failed"] == "tower of exponents of more than 2"
    lines = [json.loads(line) for line in graded.lines()]
    assert lines[:-1] == graded.rows
    summary = lines[-1]["summary"]
    assert summary.pop("seconds") >= 0
    assert summary == {"rows": 4, "correct": 2, "failed": 1}


async def test_math_verifys_own_cases(test_data: Path, grader: Grader) -> None:
    graded = await grade_rows(test_data / MATH_VERIFY, grader)
    wrong = [row for row in graded.rows if row["equal"] != row["expected"]]
    assert not wrong
    assert len(graded.rows) == 268


async def test_grades_of_the_pool_agree_with_its_own(
    test_data: Path, grader: Grader, answers: MathAnswers
) -> None:
    differences = {}
    for row in load(test_data / POOL):
        for index, candidate in enumerate(row["candidates"]):
            raw = answers.extract(candidate["text"])
            equal = raw is not None and (await grader.grade(row["answer"], raw)).equal
            if equal != candidate["correct"]:
                differences[row["id"], index] = equal
    assert differences == POOL_DIFFERENCES


async def test_votes_agree_with_grades_on_the_pool(
    test_data: Path, grader: Grader, answers: MathAnswers
) -> None:
    """At most 1 % of the pairs of answers to one problem: 0 of 989."""
    pairs = differing = 0
    for row in load(test_data / POOL):
        raws = [answers.extract(candidate["text"]) for candidate in row["candidates"]]
        parsed = [await answers.parse(raw) for raw in raws if raw is not None]
        for one, other in itertools.combinations(parsed, 2):
            equal = (await grader.grade(one.raw, other.raw)).equal
            pairs += 1
            differing += equal != (one.key == other.key)
    assert pairs == 989
    assert differing == 0


async def test_gsm8k_grades_agree_with_the_files_own(test_data: Path, grader: Grader) -> None:
    answers = MathAnswers(last_number=True)
    comparisons: list[Comparison] = []
    correct: list[bool] = []
    for row in load(test_data / GSM8K)[:150]:
        gold = row["ground_truth"].rsplit("A: ", 1)[1]
        for system in (value for value in row.values() if isinstance(value, dict)):
            comparisons.append(Comparison(gold, answers.extract(system["solution"]) or ""))
            correct.append(system["is_correct"])
    verdicts = await grader.grade_many(comparisons)
    assert [verdict.equal for verdict in verdicts] == correct
