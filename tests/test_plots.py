"""Figure data exactly, drawn figures by what their SVG says, the command by its files."""

from __future__ import annotations

import hashlib
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.cli.figures import line_of
from ponder.errors import MissingExtraError, UsageError
from ponder.evals.compare import Method
from ponder.report.plots.accuracy import AXES, accuracy_figure, at_level, level_figure
from ponder.report.plots.binning import binned, clustered, equal_groups
from ponder.report.plots.calibration import ScoredCandidate, calibration
from ponder.report.plots.canvas import PAPERS, check_installed, named, save, styled
from ponder.report.plots.choices import ChoiceMap, choice_map
from ponder.report.plots.curves import draw_curves, power_text
from ponder.report.plots.entropy import answer_entropy
from ponder.report.plots.forest import draw_pairs
from ponder.report.plots.grid import draw_map, letter
from ponder.report.plots.index import Index, read_index, replace_index
from ponder.report.plots.pairs import PairFigure, pair_figure
from ponder.report.plots.palette import level_dashes, looks
from ponder.report.plots.panels import Absent, CurveFigure
from ponder.report.plots.writing import Subjects, write_figures
from ponder.report.series import Baseline, Mark, Series
from ponder.report.view import CostPoint, Part, Point, RunView
from ponder.report.views import LoadedRun
from ponder.search.policy import Choice, Policy
from tests.report_samples import demo_runs, pool_run
from tests.test_cli import PLAY, data, ponder  # noqa: F401  a fixture among them

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure: CurveFigure, folder: Path) -> ET.Element:
    found = looks(line for panel in figure.panels for line in panel.lines)
    with styled():
        svg = save(draw_curves(figure, found, PAPERS[0]), folder, figure.name)[0]
    return ET.parse(svg).getroot()


def texts(root: ET.Element) -> list[str]:
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def ids(root: ET.Element) -> set[str]:
    return {element.get("id", "") for element in root.iter()}


def levelled(run: RunView) -> RunView:
    """The run with two levels of its problems."""
    names = list(run.examples)
    examples = {
        name: replace(run.examples[name], level="10" if place % 2 else "9")
        for place, name in enumerate(names)
    }
    parts = {
        level: Part(n_problems=6, curves={"majority": {4: Point(accuracy=accuracy)}})
        for level, accuracy in (("10", 0.25), ("9", 0.75))
    }
    return replace(run, examples=examples, summary=run.summary.model_copy(update={"levels": parts}))


@given(st.lists(st.integers(0, 6).map(float), min_size=1, max_size=40), st.integers(1, 8))
def test_groups_hold_each_place_once_rise_and_keep_equals_together(
    values: list[float], count: int
) -> None:
    groups = equal_groups(values, count)
    assert sorted(place for group in groups for place in group) == list(range(len(values)))
    ranges = [[values[place] for place in group] for group in groups]
    assert all(max(one) < min(two) for one, two in pairwise(ranges))
    assert len(groups) <= 2 * count


def test_a_tie_that_fills_a_group_is_not_mixed_with_others() -> None:
    assert equal_groups([1, 0, 1, 1, 1, 1], 3) == [[1], [0, 2, 3, 4, 5]]
    assert equal_groups([4, 3, 2, 1], 2) == [[3, 2], [1, 0]]


def test_a_problem_counts_once_in_a_bin() -> None:
    mark = clustered([("a", 0.2, 1.0), ("a", 0.4, 1.0), ("b", 0.9, 0.0)])
    assert mark.x == pytest.approx(0.6)
    assert mark.point.accuracy == 0.5


def test_binned_marks_rise_and_have_intervals() -> None:
    marks = binned({"a": 2.0, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 1.0, "c": 0.5}, 2)
    assert [(mark.x, mark.point.accuracy) for mark in marks] == [(0.0, 0.75), (2.0, 0.0)]
    assert all((mark.point.ci_high or 0) > (mark.point.ci_low or 0) for mark in marks)


@pytest.mark.parametrize(
    ("keys", "bits"),
    [
        (["a"] * 8, 0.0),
        (["a", "b", "c", "d"], 2.0),
        ([None, None], 1.0),
        (["a", "a", "b", None], 1.5),
    ],
)
def test_entropy_counts_a_sample_without_answer_as_its_own_group(
    keys: list[str | None], bits: float
) -> None:
    assert answer_entropy(keys) == pytest.approx(bits)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=20))
def test_entropy_is_at_most_that_of_all_different_answers(keys: list[str | None]) -> None:
    assert -1e-12 <= answer_entropy(keys) <= math.log2(len(keys)) + 1e-12


def test_calibration_is_brier_auc_and_shares() -> None:
    found = calibration(
        [
            ScoredCandidate("a", 0.9, True),
            ScoredCandidate("a", 0.8, False),
            ScoredCandidate("b", 0.1, False),
            ScoredCandidate("c", 0.2, False),
        ]
    )
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.01 + 0.04) / 4)
    assert found.auc["value"] == 1.0
    assert [(mark.x, mark.point.accuracy) for mark in found.marks] == [
        (0.1, 0.0),
        (0.2, 0.0),
        (0.8, 0.0),
        (0.9, 1.0),
    ]


def test_scores_that_are_no_probabilities_have_no_brier() -> None:
    scores = [ScoredCandidate("a", -3.0, False), ScoredCandidate("b", 4.0, True)]
    assert calibration(scores).brier is None


def methods(first: float, second: float, problems: int = 40) -> list[Method]:
    return [
        Method(
            name,
            "majority",
            8,
            1,
            {f"p{i}": float(i < share * problems) for i in range(problems)},
            None,
        )
        for name, share in (("worse", first), ("better", second))
    ]


def test_the_better_method_of_a_pair_is_named_first_with_its_interval_turned() -> None:
    figure = pair_figure(methods(0.2, 0.7))
    assert isinstance(figure, PairFigure)
    (row,) = figure.rows
    assert (row.first, row.second) == ("better", "worse")
    assert row.difference == pytest.approx(50.0)
    assert 0 < row.low < row.difference < row.high < 100
    assert row.significant


def test_equal_methods_are_not_significant_and_one_is_no_pair() -> None:
    figure = pair_figure(methods(0.5, 0.525))
    assert isinstance(figure, PairFigure)
    assert not figure.rows[0].significant
    assert isinstance(pair_figure(methods(0.2, 0.7)[:1]), Absent)


POLICY = Policy(
    4,
    "agreement",
    "last",
    (0.5,),
    {
        16: (Choice("sample", 16, "majority"), Choice("sample", 16, "weighted")),
        8: (Choice("sample", 8, "majority"), Choice("dvts", 8, "best_of_n", {"beam_width": 2})),
    },
)


def test_the_map_has_a_kind_for_each_choice_but_for_its_n() -> None:
    kinds = ("sample, majority", "dvts, beam_width = 2, best of N", "sample, weighted")
    assert choice_map(POLICY) == ChoiceMap((8, 16), kinds, ((0, 0), (1, 2)))


def test_cost_axes_place_a_run_at_its_mean_cost_and_name_who_tells_none() -> None:
    runs = [pool_run("told", "majority"), pool_run("untold", "weighted")]
    sizes = runs[0].summary.curves["majority"]
    costs = {n: CostPoint(flops=n * 1e12) for n in sizes}
    told = replace(runs[0], summary=runs[0].summary.model_copy(update={"costs": costs}))
    figure = accuracy_figure([told, runs[1]], (), "flops")
    assert isinstance(figure, CurveFigure)
    (line,) = [line for line in figure.panels[0].lines if not line.bound]
    assert [mark.x for mark in line.marks] == [n * 1e12 for n in sorted(sizes)]
    assert figure.notes == ("without untold, which does not tell its flops",)
    assert accuracy_figure(runs, (), "flops").name == "accuracy-flops"
    assert isinstance(accuracy_figure(runs, (), "flops"), Absent)


def test_runs_at_one_n_are_not_joined_where_only_their_cost_differs() -> None:
    first, second = (
        replace(run, summary=run.summary.model_copy(update={"curves": {"majority": {8: point}}}))
        for run, point in (
            (pool_run("one", "majority"), Point(accuracy=0.5, tokens=100)),
            (pool_run("two", "majority"), Point(accuracy=0.6, tokens=200)),
        )
    )
    figure = accuracy_figure([first, second], (), "tokens")
    assert isinstance(figure, CurveFigure)
    assert [(line.name, len(line.marks)) for line in figure.panels[0].lines] == [
        ("two", 1),
        ("one", 1),
    ]


def test_levels_come_in_natural_order_with_their_own_problems() -> None:
    run = levelled(pool_run("pool", "majority"))
    figure = level_figure([run])
    assert isinstance(figure, CurveFigure)
    assert [panel.title for panel in figure.panels] == ["level 9", "level 10"]
    assert [panel.lines[0].marks[0].point.accuracy for panel in figure.panels] == [0.75, 0.25]
    assert len(at_level(run, "9").traces) == 6
    assert isinstance(level_figure([pool_run("pool", "majority")]), Absent)


def test_the_drawn_figure_names_its_lines_axes_and_the_dashed_level(tmp_path: Path) -> None:
    figure = accuracy_figure(demo_runs(), (Baseline("3B greedy", 0.42),), "n")
    assert isinstance(figure, CurveFigure)
    root = drawn(figure, tmp_path)
    names = {line.name for line in figure.panels[0].lines}
    assert {line.label for line in figure.panels[0].lines} <= set(texts(root))
    assert {"samples a problem (N)", "accuracy (%)", "3B greedy 42.0 %"} <= set(texts(root))
    assert {f"line {name}" for name in names} <= ids(root)
    (level,) = [element for element in root.iter() if element.get("id") == "level 3B greedy"]
    assert "stroke-dasharray" in ET.tostring(level, encoding="unicode")


def test_text_is_never_a_formula_and_a_leading_underscore_is_shown(tmp_path: Path) -> None:
    marks = (Mark(1, Point(accuracy=0.2)), Mark(2, Point(accuracy=0.4)))
    figure = accuracy_figure([pool_run("p", "majority")], (Baseline("_$x^2$", 0.5),), "n")
    assert isinstance(figure, CurveFigure)
    panel = replace(figure.panels[0], lines=(Series("$a_b$", marks),))
    root = drawn(replace(figure, panels=(panel,)), tmp_path)
    assert {"$a_b$", "_$x^2$ 50.0 %"} <= set(texts(root))


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    figure = accuracy_figure(demo_runs(), (), "n")
    assert isinstance(figure, CurveFigure)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawn(figure, tmp_path / folder)
    for name in ("accuracy-n.png", "accuracy-n.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_pairs_and_map_are_drawn_with_their_words(tmp_path: Path) -> None:
    pairs = pair_figure(methods(0.2, 0.7))
    assert isinstance(pairs, PairFigure)
    for paper in PAPERS:
        with styled():
            forest = save(draw_pairs(pairs, paper), tmp_path, "pairs")[0]
            choices = save(draw_map(choice_map(POLICY), paper), tmp_path, "map")[0]
        assert {"better − worse", "Holm p", "< 0.001"} <= set(texts(ET.parse(forest).getroot()))
        words = texts(ET.parse(choices).getroot())
        assert [words.count(letter(kind)) for kind in range(3)] == [2, 1, 1]
        assert "B  dvts, beam_width = 2, best of N" in words


def test_lines_keep_their_look_and_the_first_42_differ() -> None:
    lines = [Series(f"m{place}", ()) for place in range(42)]
    found = looks([*lines, Series("oracle", (), bound=True), *lines])
    assert len(set(found.values())) == 43


@pytest.mark.parametrize(
    ("value", "text"), [(1e12, "10¹²"), (2.5e9, "2.5·10⁹"), (1e3, "10³"), (0.5, "5·10⁻¹")]
)
def test_powers(value: float, text: str) -> None:
    assert power_text(value) == text


def test_a_long_name_loses_its_middle_and_a_leading_underscore_its_power() -> None:
    assert named("compute-optimal/n=16", 19) == "compute-o…imal/n=16"
    assert named("beams/n=4", 19) == "beams/n=4"
    assert named("_hidden") == "\u2009_hidden"


def test_levels_across_are_told_apart() -> None:
    levels = [Baseline(name, 0.5) for name in "abcd"] + [Baseline("random", 0.2, chance=True)]
    found = level_dashes([*levels, *levels])
    assert list(found) == [level.name for level in levels]
    assert len(set(found.values())) == 5
    assert found["random"] == ":"


def test_long_choices_take_as_many_lines_as_the_paper_asks_for(tmp_path: Path) -> None:
    words = "beam_search, beam_width = 4, max_iterations = 40, lookahead = 3, best of N"
    with styled():
        figure = draw_map(ChoiceMap((8,), (words,), ((0,),)), PAPERS[0])
        save(figure, tmp_path, "choices")
        (legend,) = figure.legends
        box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert " ".join(legend.get_texts()[0].get_text().split()) == f"A {words}"


def test_the_accuracy_axes_have_files_of_their_own() -> None:
    figures = {accuracy_figure([], (), axis).name for axis in AXES}
    assert len(figures) == 6


def test_a_line_is_a_number_or_a_run() -> None:
    assert line_of("3B = greedy=0.42") == Baseline("3B = greedy", 0.42)
    for wrong in ("3B=42", "0.42", "3B=nan", "nowhere", "3B=no/where"):
        with pytest.raises(UsageError, match="--line"):
            line_of(wrong)


def test_a_run_of_a_sweep_has_an_equals_sign_in_its_path(
    tmp_path: Path,
    data: Path,  # noqa: F811
) -> None:
    run = tmp_path / "temperature=0.8"
    assert ponder("run", *PLAY, "--dataset", data, "--n", 1, "-o", run) == 0
    for word, name in ((f"8B={run}", "8B"), (f"a=b={run}", "a=b"), (str(run), run.name)):
        found = line_of(word)
        assert isinstance(found, LoadedRun)
        assert (found.view.name, found.view.greedy) == (name, True)


def test_without_matplotlib_one_line_names_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ponder.report.plots.canvas.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[figures\]'"):
        check_installed()


def test_the_command_draws_the_public_pool(
    tmp_path: Path, test_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = test_data / "completions" / "math500_qwen2.5-1.5b_skywork_n8_seed0.jsonl"
    run, figures = tmp_path / "run", tmp_path / "figures"
    assert ponder("import", "pool", pool, "-o", run) == 0
    assert write_figures(figures, Subjects((), (), policy=POLICY)).paths
    capsys.readouterr()
    line = ("--line", "7B greedy=0.75")
    assert ponder("report", run, "--json", "--figures", figures, *line) == 0
    told = capsys.readouterr().err
    assert "no figure choices: name a policy: `--policy FILE`" in told
    assert ", 4 of an earlier call removed" in told
    names = {"accuracy-n", "calibration", "comparison", "entropy"}
    for paper in PAPERS:
        found = {path.stem for path in (figures / paper.folder).glob("*.svg")}
        assert names <= found
        assert not {"choices", "levels"} & found
    root = ET.parse(figures / "one-column" / "accuracy-n.svg").getroot()
    assert {"7B greedy 75.0 %", "majority", "best of N", "weighted"} <= set(texts(root))


def test_figures_of_the_call_before_go_and_nothing_else(tmp_path: Path) -> None:
    column = tmp_path / "one-column"
    first = write_figures(tmp_path, Subjects((), tuple(methods(0.2, 0.7))))
    assert {path.name for path in column.iterdir()} == {"comparison.svg", "comparison.png"}
    mine = [column / "mine.svg", tmp_path / "comparison.svg", column / "comparison.png"]
    for path in mine:
        path.write_text("mine", encoding="utf-8")
    second = write_figures(tmp_path, Subjects((), (), policy=POLICY))
    assert (first.removed, second.removed) == (0, 3)
    assert all(path.read_text(encoding="utf-8") == "mine" for path in mine)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    others = {path.relative_to(tmp_path).as_posix() for path in mine}
    listed = {path.relative_to(tmp_path).as_posix() for path in second.paths}
    assert left == {*listed, *others, "ponder-figures.json"}
    index = read_index(tmp_path)
    assert (set(index.files), index.notes) == (listed, second.notes)
    assert write_figures(tmp_path, Subjects((), (), policy=POLICY)).removed == 0


def test_an_index_removes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    outside = [tmp_path / "kept.svg", folder / "one-column.svg"]
    for path in outside:
        path.write_bytes(b"kept")
    names = (
        "../kept.svg",
        str(tmp_path / "kept.svg"),
        "one-column.svg",
        "one-column/../../kept.svg",
    )
    digest = hashlib.sha256(b"kept").hexdigest()
    assert replace_index(folder, Index(files=dict.fromkeys(names, digest)), [], []) == 0
    assert all(path.exists() for path in outside)
    assert read_index(folder) == Index()


def test_a_file_in_the_place_of_the_index_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ponder-figures.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(UsageError, match="is no index of figures"):
        read_index(tmp_path)


def test_a_policy_needs_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ponder("report", tmp_path / "run", "--policy", "policy.toml") == 2
    assert "--figures DIR" in capsys.readouterr().err
