from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Literal

import pytest
from rich.console import Console

from ponder.report.branches import branches
from ponder.report.fragments import comparison, lede
from ponder.report.live import LiveSearch, fitting
from ponder.report.progress import MethodsProgress
from ponder.report.table import level_lines, method_table, run_report
from ponder.report.tree import TraceTree
from ponder.report.view import RunView, method_row
from ponder.trace import Node, Savings
from tests.report_samples import HOSTILE, demo_runs, hostile_run, pool_run, search_run, search_trace


def printed(renderable: object, width: int = 80, *, terminal: bool = False) -> str:
    colours: Literal["standard"] | None = "standard" if terminal else None
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=colours
    )
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def tree(run: RunView, width: int = 80, *, terminal: bool = False, full: bool = False) -> str:
    return printed(TraceTree(run, run.traces[0], full=full), width, terminal=terminal)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tree_fits_its_width(width: int) -> None:
    for run in (search_run(), pool_run("pool", "majority", 1), hostile_run()):
        assert max(map(len, tree(run, width).splitlines())) <= width


def test_tree_says_steps_scores_states_and_reasons_without_colour() -> None:
    drawn = tree(search_run())
    assert "\x1b" not in drawn
    assert "├─ 0  arithmetic 1.00  winning path  29 tokens" in drawn
    assert "│ ├─ 0.0  arithmetic 1.00  chosen" in drawn
    assert "├─ 1  arithmetic 0.00  pruned" in drawn
    assert "pruned: score 0.00 below the best 2" in drawn
    assert "failed: engine: connection lost" in drawn
    assert "answer 39 right, reference 39" in drawn
    assert "note: one of 6 samples failed" in drawn
    assert "votes: 39 × 1, 41 × 1" in drawn


def test_pruned_is_dim_and_the_winner_bold() -> None:
    drawn = tree(search_run(), terminal=True)
    assert re.search(r"\x1b\[2m4 boxes of 12 candles are 4 \* 12 = 38", drawn)
    assert re.search(r"\x1b\[1mShe has 48 - 9 = 39 left", drawn)


def test_markup_and_escape_sequences_of_a_model_are_text() -> None:
    run = hostile_run()
    node = replace(run.traces[0].nodes[0], text="\x1b[2J\x1b]0;title\x07 [red]x[/red] [/]")
    drawn = tree(replace(run, traces=(replace(run.traces[0], nodes=(node,)),)))
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert "⟨U+001B⟩[2J⟨U+001B⟩]0;title⟨U+0007⟩ [red]x[/red] [/]" in drawn


def test_a_long_text_is_cut_unless_asked_for_in_full() -> None:
    run = search_run()
    node = replace(run.traces[0].nodes[0], text="\n".join(f"line {k}" for k in range(40)))
    long = replace(run, traces=(replace(run.traces[0], nodes=(node,)),))
    assert "line 39" not in tree(long)
    assert "… 28 more lines (--full shows them)" in tree(long)
    assert "line 39" in tree(long, full=True)


def test_tree_says_why_it_ended_early_and_what_that_saved() -> None:
    run = search_run()
    early = replace(
        run.traces[0], stopped="settled", savings=Savings(samples=9, scores=2, prefixes=0)
    )
    drawn = tree(replace(run, traces=(early,)), width=200)
    assert "its answer was settled early" in drawn
    assert "9 samples not drawn, 2 equal prefixes not scored again" in drawn
    cut = replace(run.traces[0], stopped="budget")
    assert "stopped by its budget" in tree(replace(run, traces=(cut,)), width=200)
    assert "samples not drawn" not in tree(run, width=200)


def test_a_deep_tree_still_leaves_room_for_text() -> None:
    nodes = [
        Node((0,) * depth, (0,) * (depth - 1), f"step number {depth}", "separator")
        for depth in range(1, 61)
    ]
    trace = replace(search_trace(), nodes=tuple(nodes), chosen=(0,) * 60, decisions=())
    lines = tree(replace(search_run(), traces=(trace,))).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("step number 60") for line in lines)


def test_run_report_has_intervals_by_selector_and_n_and_the_warning() -> None:
    drawn = printed(run_report(pool_run("pool", "majority")))
    assert re.search(r"weighted +1 +37\.0 % +30\.0 to 44\.0 +- +78", drawn)
    assert re.search(r"majority +1 +36\.0 % +29\.0 to 43\.0 +33\.0 % +78", drawn)
    assert "12 problems, truncated 8.0 %, unanswered 3.0 %" in drawn
    told = "of samples end at max_tokens: `ponder run --max-tokens` raises it"
    assert f"Warning: pool: 8.0 % {told}" in " ".join(drawn.split())
    assert "Warning" not in printed(run_report(search_run()))


def test_method_table_prints_a_dash_for_what_is_not_told() -> None:
    untold = search_run(seconds=None)
    rows = [method_row(run) for run in (*demo_runs(), replace(untold, name=HOSTILE[:20]))]
    drawn = printed(method_table(rows, "Demo"), width=100)
    assert re.search(r"beam search +12 +58\.0 % +51\.0 to 65\.0 +171 +0 +3\.2", drawn)
    last = drawn.splitlines()[-2]
    assert last.strip().startswith("</script><script>")
    assert last.split()[-1] == "-"


def test_tables_say_how_many_problems_are_finished_where_methods_differ() -> None:
    whole = pool_run("whole", "majority")
    part = replace(whole, name="part", traces=whole.traces[:5])
    bare = whole.summary.model_copy(update={"curves": {}})
    none = replace(whole, name="none", traces=(), summary=bare)
    rows = [method_row(run) for run in (whole, part, none)]
    drawn = printed(method_table(rows))
    assert re.search(r"whole +12 +46\.5 %", drawn)
    assert re.search(r"part +5 of 12 +46\.5 %", drawn)
    assert re.search(r"none +0 of 12 +- +- +- +- +-", drawn)
    alike = printed(method_table(rows[:1] * 2))
    assert alike.startswith("12 problems ")
    assert "method   accuracy" in alike
    page = comparison([whole, part, none])
    for told in ('<th scope="col">problems</th>', "<td>12</td>", "<td>5 of 12</td>"):
        assert told in page
    assert '<td>0 of 12</td><td class="accuracy">-</td>' in page
    assert "problems" not in comparison([whole, whole]).partition("<tbody>")[0]
    assert "part on 5 of 12 problems," in lede([part])
    assert "none: -" in printed(level_lines([none], ()))


def test_live_search_off_a_terminal_prints_plain_lines() -> None:
    console = Console(file=io.StringIO(), width=80)
    trace = search_trace()
    with LiveSearch(console) as live:
        for node in trace.nodes:
            live.on_node("p0", replace(node, scores={}))
            live.on_node("p0", node)
        for decision in trace.decisions:
            live.on_decision("p0", decision)
        live.on_problem_done("p0", trace)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2 * len(trace.nodes) + len(trace.decisions)
    assert lines[1] == "0  scored 1.00"
    assert "pruned 1: score 0.00 below the best 2" in lines
    assert "\x1b" not in console.file.getvalue()


def test_live_search_on_a_terminal_shows_tree_score_and_tokens() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    trace = search_trace()
    with LiveSearch(console) as live:
        for node in trace.nodes:
            live.on_node("p0", node)
        live.on_decision("p0", trace.decisions[1])
        drawn = printed(live.frame())
    assert "1  0.00  pruned" in drawn
    assert "  0.0  1.00  She has 48 - 9 = 39 left." in drawn
    assert "6 samples · best score 1.00 · 174 tokens generated" in drawn


def test_what_does_not_fit_loses_the_pruned_first() -> None:
    drawn = branches(search_trace())
    assert [branch.node.path for branch in fitting(drawn, 4)] == [(0,), (0, 0), (0, 1), (2,)]
    assert fitting(drawn, 100) == list(drawn)


def test_progress_counts_each_sample_once_and_a_round_grows_its_bar() -> None:
    console = Console(file=io.StringIO(), width=80)
    now = [0.0]
    trace = search_trace()
    with MethodsProgress(console, clock=lambda: now[0]) as progress:
        method = progress.method("beam [search]", 1)
        now[0] = 2.0
        for node in (*trace.nodes, *trace.nodes):
            method.on_node("p0", node)
        method.on_problem_done("p0", trace)
        assert progress.method("beam [search]", 1) is method
        method.on_problem_done("p1", trace)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "beam [search]: 1 of 1 problems, 6 samples, 3.0/s",
        "beam [search]: 2 of 2 problems, 6 samples, 3.0/s",
    ]


def test_progress_draws_bars_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with MethodsProgress(console) as progress:
        progress.method("DVTS", 4).on_problem_done("p0", search_trace())
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "DVTS" in drawn
    assert "1/4" in drawn
