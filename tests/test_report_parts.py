"""Levels and subjects: the rows exactly, the same on the terminal, the page and in JSON."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ponder.report.page import render_page
from ponder.report.parts import PartRow, part_rows
from ponder.report.parts_fragment import part_tables
from ponder.report.parts_table import cost_table, part_table
from ponder.report.view import CostPoint, Part, Point, RunView
from ponder.report.wording import count, interval, share, signed
from tests.report_samples import HOSTILE, pool_run
from tests.test_cli import PLAY, data, ponder  # noqa: F401  a fixture among them


def point(accuracy: float) -> Point:
    return Point(accuracy=accuracy, ci_low=accuracy / 2, ci_high=1.0)


def levelled(name: str, selector: str, levels: dict[str, float]) -> RunView:
    """A run whose levels have 3 problems each, with another selector that is always right."""
    parts = {
        level: Part(
            n_problems=3,
            curves={selector: {2: point(0.0), 16: point(accuracy)}, "oracle": {16: point(1.0)}},
        )
        for level, accuracy in levels.items()
    }
    run = pool_run(name, selector)
    curves = {selector: {16: point(0.5)}, "oracle": {16: point(1.0)}}
    return replace(run, summary=run.summary.model_copy(update={"curves": curves, "levels": parts}))


def printed(runs: list[RunView], width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(part_table(runs, "level"))
    return out.getvalue()


def test_levels_stand_in_natural_order_each_with_every_method_at_its_own_selector() -> None:
    runs = [
        levelled("a", "majority", {"10": 0.25, "9": 0.75}),
        levelled("b", "weighted", {"9": 0.5, "11": 0.125}),
    ]
    assert part_rows(runs, "level") == [
        PartRow("9", 3, "a", 16, point(0.75)),
        PartRow("9", 3, "b", 16, point(0.5)),
        PartRow("10", 3, "a", 16, point(0.25)),
        PartRow("11", 3, "b", 16, point(0.125)),
    ]
    assert part_rows(runs, "subject") == []


def test_one_run_alone_shows_its_selectors() -> None:
    rows = part_rows([levelled("a", "best_of_n", {"1": 0.25})], "level")
    assert [(row.method, row.point.accuracy) for row in rows] == [
        ("best of N", 0.25),
        ("oracle", 1),
    ]


def test_the_terminal_and_the_page_say_the_same() -> None:
    runs = [
        levelled("a", "majority", {"10": 0.25, "9": 0.75}),
        levelled("b", "weighted", {"9": 0.5}),
    ]
    shown = [
        line.split() for line in printed(runs).splitlines() if "%" in line and "95" not in line
    ]
    assert shown == [
        ["9", "a", "75.0", "%", "37.5", "to", "100.0", "16", "3"],
        ["b", "50.0", "%", "25.0", "to", "100.0", "16", "3"],
        ["10", "a", "25.0", "%", "12.5", "to", "100.0", "16", "3"],
    ]
    html = part_tables(runs)
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in html.split("<tr>")[2:]]
    assert [" ".join(row).split() for row in cells] == shown
    assert html in render_page("title", runs)
    assert "the data set tells no level" in printed([pool_run("c", "majority")])
    assert part_tables([pool_run("c", "majority")]) == ""


def test_no_cell_is_cut_at_80_columns_and_hostile_names_are_text() -> None:
    assert "…" not in printed([levelled("sampled, seed = 0", "majority", {"level 5": 0.25})])
    html = part_tables([levelled(HOSTILE, "majority", {HOSTILE: 0.5}), pool_run("b", "majority")])
    assert "<script" not in html
    assert "\u202e" not in html


def test_the_command_tells_levels_of_several_runs(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, n in zip(folders, (2, 4), strict=True):
        assert ponder("run", *PLAY, "--dataset", data, "--n", n, "-o", folder) == 0
    capsys.readouterr()
    assert ponder("report", *folders, "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["name"] for run in runs] == [folder.name for folder in folders]
    found = [
        share(run["levels"][level]["curves"]["majority"][n]["accuracy"]).split()[0]
        for level in ("1", "2")
        for run, n in zip(runs, ("2", "4"), strict=True)
    ]
    page = tmp_path / "page.html"
    assert ponder("report", *folders, "--by", "level", "-o", page) == 0
    shown = capsys.readouterr().out
    table = shown[shown.index("level   method") :]
    assert re.findall(r"([\d.]+) %  ", table.split("\n", 1)[1]) == found
    assert "<summary>By level</summary>" in page.read_text(encoding="utf-8")


def test_lines_across_are_on_the_page_and_printed(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, greedy = tmp_path / "run", tmp_path / "greedy"
    for folder, n in ((run, 4), (greedy, 1)):
        assert ponder("run", *PLAY, "--dataset", data, "--n", n, "-o", folder) == 0
    capsys.readouterr()
    assert ponder("report", greedy, "--json") == 0
    accuracy = json.loads(capsys.readouterr().out)["curves"]["majority"]["1"]["accuracy"]
    page = tmp_path / "page.html"
    words = ["--line", f"larger greedy={greedy}", "--line", "largest=0.125"]
    assert ponder("report", run, "-o", page, *words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2] == "largest: 12.5 %"
    assert shown[-3].startswith(f"larger greedy: {share(accuracy)}, ")
    drawn = page.read_text(encoding="utf-8")
    assert f"larger greedy {share(accuracy)}" in drawn
    assert "largest 12.5 %" in drawn


def test_numbers_that_differ_by_rounding_alone_are_written_alike() -> None:
    for value in (0.0625, 0.06250000000000001, 0.06249999999999999):
        assert (share(value), signed(value)) == ("6.2 %", "+6.2")
        assert interval(value, 1.0) == "6.2 to 100.0"
    assert signed(-1e-17) == "+0.0"


def test_large_counts_have_one_way_of_writing() -> None:
    found = [count(value) for value in (3.418e11, 3.1e9, 999.4e6, 999.6e6, 12_400, None)]
    assert found == ["3.42e+11", "3.1e+09", "999M", "1e+09", "12.4k", "-"]
    costs = cost_table({1: CostPoint(flops=3.418e11)})
    assert list(costs.columns[4].cells) == ["3.42e+11"]
