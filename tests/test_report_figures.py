from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.report.escape import visible
from ponder.report.figures import figure, legend
from ponder.report.names import short_names
from ponder.report.scales import (
    Scale,
    accuracy_range,
    accuracy_ticks,
    count_ticks,
    decade_ticks,
    log_range,
)
from ponder.report.series import Baseline, Mark, Series, baselines, series, side_steps
from ponder.report.view import Point, RunView, Summary
from ponder.report.wording import count, interval, share
from tests.report_samples import HOSTILE, demo_runs, hostile_run, pool_run, pool_summary, search_run

accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=8)
positive = st.lists(st.floats(1e-2, 1e7), min_size=1, max_size=8)


@given(accuracies)
def test_accuracy_axis_holds_all_values_and_never_magnifies_noise(values: list[float]) -> None:
    low, high = accuracy_range(values)
    assert 0 <= low <= min(values) + 1e-9
    assert max(values) - 1e-9 <= high <= 1
    assert high - low >= 0.2 - 1e-9
    ticks = accuracy_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert abs(ticks[0] - low) < 1e-9
    assert abs(ticks[-1] - high) < 1e-9


@given(positive)
def test_log_axis_leaves_air_and_has_readable_ticks(values: list[float]) -> None:
    low, high = log_range(values)
    assert low < min(values)
    assert max(values) < high
    ticks = decade_ticks(low, high)
    assert 1 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)
    scale = Scale(low, high, 10, 20, logarithmic=True)
    assert all(10 < scale(value) < 20 for value in values)


def test_count_ticks_thin_from_the_largest_down() -> None:
    assert count_ticks([4, 1, 2]) == [1, 2, 4]
    assert count_ticks([2.0**k for k in range(9)]) == [1, 4, 16, 64, 256]


def test_one_run_shows_each_selector_best_first_and_the_oracle_last() -> None:
    lines = series([pool_run("pool", "majority")], "n")
    assert [line.name for line in lines] == ["weighted", "best of N", "majority", "oracle"]
    assert [line.bound for line in lines] == [False, False, False, True]
    assert [mark.x for mark in lines[0].marks] == [1, 2, 4, 8]


def test_several_runs_show_their_own_selector_and_one_oracle() -> None:
    names = [line.name for line in series(demo_runs(), "tokens")]
    assert sorted(names) == sorted(
        ["majority", "best of N", "weighted", "beam search", "DVTS", "self-refine", "oracle"]
    )


def test_lines_of_several_runs_say_their_selector_and_whose_the_oracle_is() -> None:
    runs = [pool_run("small", "weighted"), pool_run("by majority", "majority")]
    lines = series(runs, "n")
    labels = ["small, weighted", "by majority", "oracle of small"]
    assert [line.label for line in lines] == labels
    assert [line.label for line in series([*swept(""), pool_run("p", "majority")], "n")] == [
        "p, majority",
        "beam_search, best of N",
        "oracle of p",
    ]
    assert re.findall(r"</svg>([^<]*?) [\d.]+ %</li>", legend(lines, ())) == labels


def swept(folder: str, method: str | None = "m") -> list[RunView]:
    """A search at two N, in a folder of its own."""
    return [
        replace(
            search_run(),
            name=f"{folder}n={n}",
            method=method,
            summary=Summary(n_problems=9, curves={"best_of_n": {n: Point(accuracy=n / 64)}}),
        )
        for n in (16, 4)
    ]


def test_a_sweep_of_one_search_is_one_line() -> None:
    (line,) = series(swept(""), "n")
    assert line.name == "beam_search"
    assert [mark.x for mark in line.marks] == [4, 16]


def test_sweeps_of_two_models_are_two_lines_named_after_their_folders() -> None:
    for methods in (("1b", "3b"), (None, None)):  # imports do not tell their methods
        lines = series([*swept("1b/", methods[0]), *swept("3b/", methods[1])], "n")
        assert [line.name for line in lines] == ["1b", "3b"]
        assert [[mark.x for mark in line.marks] for line in lines] == [[4, 16], [4, 16]]


def test_searches_that_differ_in_more_than_n_are_no_line() -> None:
    """Two models, or an import of whose method nothing is known."""
    few, many = swept("")[1], swept("", "another")[0]
    assert [line.name for line in series([few, many], "n")] == ["n=16", "n=4"]
    unknown = [replace(run, strategy="pool") for run in swept("", None)]
    assert [line.name for line in series(unknown, "n")] == ["n=16", "n=4"]


def test_two_lines_of_one_strategy_without_folders_are_named_after_their_runs() -> None:
    other = [replace(run, name=f"3b-{run.name}") for run in swept("", "another")]
    names = [line.name for line in series([*swept(""), *other], "n")]
    assert names == ["n=4, n=16", "3b-n=4, 3b-n=16"]


def test_two_seeds_of_one_search_stay_two_points() -> None:
    runs = [replace(search_run(), name=f"seed={seed}") for seed in (0, 1)]
    assert [line.name for line in series(runs, "n")] == ["seed=0", "seed=1"]


def test_baselines_are_greedy_and_one_candidate_at_random() -> None:
    runs = demo_runs()
    greedy, chance = baselines(runs)
    assert (greedy.name, greedy.accuracy) == ("greedy", 0.33)
    grades = runs[1].grades
    assert abs(chance.accuracy - sum(grades.values()) / len(grades)) < 1e-9
    assert baselines([replace(search_run(), grades={})]) == ()


def test_figure_is_well_formed_and_says_what_it_shows() -> None:
    runs = demo_runs()
    lines, levels = series(runs, "n"), baselines(runs)
    drawn = ET.fromstring(figure("n", lines, levels))
    text = drawn.findtext("desc") or ""
    assert "weighted reaches 56.5 %" in text
    assert "greedy has 33.0 %" in text
    assert len(drawn.findall(".//path[@class='mark']")) == sum(len(line.marks) for line in lines)
    assert len([p for p in drawn.iter("path") if p.get("class", "").startswith("band ")]) == 4
    assert len(drawn.findall(".//path[@class='whisker']")) == 3
    tooltips = [title.text for title in drawn.findall(".//path/title")]
    assert "majority, N = 8: 46.5 % (39.5 % to 53.5 %)" in tooltips


def test_marks_stand_where_their_values_are() -> None:
    lines = series([pool_run("pool", "majority")], "n")
    drawn = ET.fromstring(figure("n", lines, ()))
    places = [
        tuple(map(float, re.findall(r"[\d.]+", mark.get("transform", ""))))
        for mark in drawn.findall(".//g[@class='series colour-0']/path[@class='mark']")
    ]
    across = [x for x, _ in places]
    assert across == sorted(across)
    steps = {round(right - left, 0) for left, right in pairwise(across)}
    assert len(steps) == 1, "doubling N is one step"
    down = [y for _, y in places]
    assert down == sorted(down, reverse=True), "more accurate is higher"


def test_lone_points_at_one_n_do_not_hide_each_other() -> None:
    drawn = ET.fromstring(figure("n", series(demo_runs(), "n"), ()))
    lone = [
        group.findall("path[@class='mark']")[0].get("transform", "")
        for group in drawn.findall("g")
        if len(group.findall("path[@class='mark']")) == 1
    ]
    assert len({place.split()[0] for place in lone}) == 3


def test_untold_tokens_are_a_sentence_not_an_empty_figure() -> None:
    summary = pool_summary().model_copy(
        update={"curves": {"majority": {1: Point(accuracy=0.5, tokens=None)}}}
    )
    run = replace(pool_run("pool", "majority"), summary=summary)
    assert figure("tokens", series([run], "tokens"), ()).startswith('<p class="absent">')


def test_hostile_names_are_text_in_figures() -> None:
    runs = [hostile_run(), search_run()]
    drawn = ET.fromstring(figure("n", series(runs, "n"), baselines(runs)))
    assert visible(HOSTILE) in (drawn.findtext("desc") or "")
    assert "<script" not in legend(series(runs, "n"), baselines(runs))


def test_numbers_are_written_shortly_and_the_untold_as_a_dash() -> None:
    assert [count(v) for v in (0, 1.25, 612, 999.9, 12_400, 3_100_000, None)] == [
        "0",
        "1.25",
        "612",
        "1k",
        "12.4k",
        "3.1M",
        "-",
    ]
    assert (share(0.475), share(None)) == ("47.5 %", "-")
    assert (interval(0.41, 0.541), interval(None, 1)) == ("41.0 to 54.1", "-")


@pytest.mark.parametrize(
    ("curve", "steps"),
    [((1, 2), [0.0, -1.0, 0.0, 1.0, 0.0]), ((1, 8), [0.0, 1.0, -1.0, 2.0, 0.0])],
)
def test_lone_points_stand_around_their_place(curve: tuple[int, ...], steps: list[float]) -> None:
    line = Series("curve", tuple(Mark(x, Point(accuracy=0.5)) for x in curve))
    lone = [Series(name, (Mark(8, Point(accuracy=0.5)),)) for name in "abc"]
    elsewhere = Series("d", (Mark(4, Point(accuracy=0.5)),))
    assert side_steps([line, *lone, elsewhere]) == steps


def test_levels_across_differ_in_their_dashes() -> None:
    levels = [Baseline(name, 0.5) for name in "abcd"] + [Baseline("random", 0.2, chance=True)]
    (line,) = series(swept(""), "n")
    drawn = [figure("n", [line], levels), legend([line], levels)]
    for svg in drawn:
        assert re.findall(r'<line class="(level[^"]*)"', svg) == [
            *(f"level dash-{place}" for place in range(4)),
            "level chance",
        ]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a"], ["a"]),
        (["runs/x/n=4", "runs/x/n=16"], ["n=4", "n=16"]),
        (["study/beams", "sample16"], ["beams", "sample16"]),
        (["1b/sample/seed=0", "1b/dvts/seed=0"], ["sample", "dvts"]),
        (
            ["1b/sample/seed=0", "1b/beams/seed=0/n=4", "1b/beams/seed=0/n=16"],
            ["sample", "beams/n=4", "beams/n=16"],
        ),
        (["1b/beams/n=4", "3b/beams/n=4"], ["1b/beams", "3b/beams"]),
        (["a/seed=0", "a/seed=1"], ["seed=0", "seed=1"]),
        (["a/seed=0/n=4", "a/seed=0/n=8"], ["n=4", "n=8"]),
        (["a/b", "a/b/c"], ["b", "c"]),
        (["a/run", "a/run"], ["a/run", "a/run"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert short_names([Path(path) for path in paths]) == names


@given(st.lists(st.lists(st.sampled_from(["a", "b", "n=1", "n=2"]), min_size=1), min_size=1))
def test_names_of_different_paths_differ(parts: list[list[str]]) -> None:
    paths = list(dict.fromkeys(Path(*own) for own in parts))
    assert len(set(short_names(paths))) == len(paths)
